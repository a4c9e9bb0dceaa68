"""The rate budget: never more than the venue allows in any window, and never past the deadline."""

import anyio
import anyio.lowlevel
import httpx2
import pytest
from fakes import NOW, Scripted, Sleeper, call, in_turn, judged, request

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import VenueRateLimited
from mmflow_mcp.upstream.budget import BudgetTransport, Meter, OverBudget

pytestmark = pytest.mark.anyio

A, B, OTHER = "a.venue.test", "b.venue.test", "other.test"


class World:
    """A budget over a venue that notes when it was asked."""

    def __init__(self, *meters: Meter, inner: Scripted | None = None) -> None:
        self.clock = FixedClock(NOW)
        self.sleep = Sleeper(self.clock)
        self.times: list[float] = []

        def answer(_: httpx2.Request) -> httpx2.Response:
            self.times.append(self.clock.monotonic())
            return judged()

        self.inner = inner or Scripted(answer)
        self.budget = BudgetTransport(self.inner, self.clock, meters, sleep=self.sleep)

    async def ask(self, host: str = A, weight: float = 1, deadline: float | None = None) -> None:
        """One request of a weight."""
        asked = call(host=host, weight=weight)
        await self.budget.handle_async_request(request(asked, deadline=deadline))


async def test_within_the_budget_nothing_waits() -> None:
    """As many as the venue allows go at once."""
    world = World(Meter((A,), 20, 2))
    for _ in range(20):
        await world.ask()
    assert [] == world.sleep.pauses


async def test_no_window_ever_holds_more_than_the_venue_allows() -> None:
    """Any 2 s hold 20 at most: a full bucket that refills would let 40 pass."""
    world = World(Meter((A,), 20, 2))
    for _ in range(70):
        await world.ask()
    assert [0.0] * 20 + [2.0] * 20 + [4.0] * 20 + [6.0] * 10 == world.times


async def test_weights_are_what_counts() -> None:
    """Two requests of weight 10 use up what ten of weight 2 would."""
    world = World(Meter((A,), 20, 60))
    await world.ask(weight=10)
    world.clock.advance(30)
    await world.ask(weight=10)
    await world.ask(weight=4)
    await world.ask(weight=6)
    await world.ask(weight=1)
    assert [0, 30, 60, 60, 90] == world.times


async def test_more_than_the_whole_capacity_goes_alone() -> None:
    """A weight beyond the capacity waits for an empty window instead of for ever."""
    world = World(Meter((A,), 10, 5))
    await world.ask(weight=3)
    await world.ask(weight=40)
    await world.ask(weight=1)
    assert [0, 5, 10] == world.times


async def test_hosts_of_one_meter_share_it() -> None:
    """What one host spends the other has no more; a third host has no meter and no limit."""
    world = World(Meter((A, B), 2, 10))
    await world.ask(A)
    await world.ask(B)
    for _ in range(50):
        await world.ask(OTHER)
    assert [] == world.sleep.pauses
    await world.ask(B)
    assert [10] == world.sleep.pauses


async def test_a_host_of_two_meters_obeys_both() -> None:
    """A limit by the second and one by the minute."""
    world = World(Meter((A,), 2, 1), Meter((A, B), 4, 60))
    for _ in range(5):
        await world.ask()
    assert [0, 0, 1, 1, 60] == world.times


async def test_a_host_does_not_wait_for_what_only_another_may_not_do() -> None:
    """The queue of one host's own meter holds nobody back who shares another meter with it."""
    inner = Scripted(lambda _: judged())
    meters = (Meter((A,), 1, 0.05), Meter((A, B), 4, 10))
    budget = BudgetTransport(inner, FixedClock(NOW), meters)
    async with anyio.create_task_group() as tasks:
        for host in (A, A, B):
            tasks.start_soon(budget.handle_async_request, request(call(host=host)))
            await anyio.lowlevel.checkpoint()
    assert [A, B, A] == [asked.url.host for asked in inner.asked]


async def test_it_refuses_rather_than_wait_past_the_deadline() -> None:
    """The refusal is our own, says when there is room, and costs nothing."""
    world = World(Meter((A,), 1, 10))
    await world.ask()
    with pytest.raises(OverBudget) as failure:
        await world.ask(deadline=8.0)
    expected = "budget: the venue's published rate leaves room only in 10.0 s"
    assert (expected, False) == (failure.value.reason, failure.value.retryable)
    assert [] == world.sleep.pauses
    await world.ask(deadline=10.5)
    assert [0, 10] == world.times


async def test_a_wait_that_leaves_no_room_for_the_attempt_is_refused() -> None:
    """To be sent at the last moment would be a time-out that the venue has not earned."""
    world = World(Meter((A,), 1, 10))
    await world.ask()
    with pytest.raises(OverBudget):
        await world.ask(deadline=10.2)


async def test_askers_are_served_in_their_order() -> None:
    """A light request does not overtake a heavy one that waits."""
    inner = Scripted(lambda _: judged())
    budget = BudgetTransport(inner, FixedClock(NOW), (Meter((A,), 10, 0.05),))
    order: list[str] = []

    async def one(name: str, weight: float) -> None:
        await budget.handle_async_request(request(call(host=A, weight=weight)))
        order.append(name)

    async with anyio.create_task_group() as tasks:
        for name, weight in (("first", 8), ("heavy", 9), ("light", 1)):
            tasks.start_soon(one, name, weight)
            await anyio.lowlevel.checkpoint()
    assert ["first", "heavy", "light"] == order


async def test_who_is_cancelled_while_waiting_gives_back() -> None:
    """The budget of requests that were never sent is there for others."""
    clock = FixedClock(NOW)
    inner = Scripted(lambda _: judged())
    budget = BudgetTransport(inner, clock, (Meter((A,), 1, 10),), sleep=anyio.sleep)
    asked = call(host=A)
    await budget.handle_async_request(request(asked))
    for _ in range(5):
        with anyio.move_on_after(0.005):
            await budget.handle_async_request(request(asked))
    assert 1 == len(inner.asked)
    clock.advance(10)
    with anyio.fail_after(1):
        await budget.handle_async_request(request(asked))
    assert 2 == len(inner.asked)


class TestAPause:
    """Retry-After holds back what is waiting here, not only who was told."""

    def world(self) -> World:
        """A venue that limits its first request for 5 s."""
        return World(
            Meter((A, B), 100, 10),
            inner=in_turn(VenueRateLimited(429, retry_after=5), judged()),
        )

    async def test_those_who_come_later_wait_for_its_end(self) -> None:
        """On every host of the meter."""
        world = self.world()
        with pytest.raises(VenueRateLimited):
            await world.ask(A)
        world.clock.advance(1)
        await world.ask(B, deadline=8)
        assert [4] == world.sleep.pauses

    async def test_or_are_refused_with_the_venues_own_reason(self) -> None:
        """Where the pause outlasts the deadline, with the seconds that are left."""
        world = self.world()
        with pytest.raises(VenueRateLimited):
            await world.ask()
        world.clock.advance(1)
        with pytest.raises(VenueRateLimited) as failure:
            await world.ask(deadline=3)
        assert (4, 1) == (failure.value.retry_after, len(world.inner.asked))

    async def test_those_who_waited_already_wait_on(self) -> None:
        """A request that waits for the budget when the pause is asked for does not go out in it."""
        world = World(Meter((A,), 1, 2))
        await world.ask()
        limit = VenueRateLimited(429, retry_after=30)
        (window,) = world.budget._windows[A]

        async def limited(seconds: float) -> None:
            if len(world.sleep.pauses) == 0:
                window.pause, window.paused_until = limit, 30.0
            await Sleeper.__call__(world.sleep, seconds)

        world.budget._sleep = limited
        await world.ask()
        assert ([2, 28], [0, 30]) == (world.sleep.pauses, world.times)


async def test_sockets_cost_nothing() -> None:
    """What is no call passes through."""
    world = World(Meter((A,), 1, 10))
    for _ in range(3):
        await world.budget.handle_async_request(httpx2.Request("GET", f"wss://{A}/ws"))
    assert ([0, 0, 0], []) == (world.times, world.sleep.pauses)


async def test_what_other_replicas_spend_counts() -> None:
    """The fleet keeps to the published rate as one; what they spent leaves in its time."""
    world = World(Meter((A, B), 20, 10))
    world.budget.learn(A, 12, 4.0)
    world.budget.learn(OTHER, 100, 0.0)
    await world.ask(weight=8)
    await world.ask(B, weight=5)
    assert [0.0, 6.0] == world.times
