"""The circuit breaker: a host that is down is left alone, and tried again by one."""

from collections.abc import Callable

import anyio
import httpx2
import pytest
from fakes import HOST, NOW, Scripted, call, in_turn, judged, request

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import (
    Unrecorded,
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRefused,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.upstream import breaker
from mmflow_mcp.upstream.breaker import BreakerTransport
from mmflow_mcp.upstream.budget import OverBudget

pytestmark = pytest.mark.anyio

GEO = VenueBlocked("geo: http 451, the venue does not serve this location")
BLOCKED = VenueBlocked("blocked: http 403")


class World:
    """A breaker over a venue whose mood can be set."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOW)
        self.mood: VenueError | None = None
        self.inner = Scripted(lambda _: judged() if self.mood is None else self.mood.fresh())
        self.breaker = BreakerTransport(self.inner, self.clock)

    async def ask(self, host: str = HOST) -> str:
        """`ok`, or the reason of the failure."""
        try:
            await self.breaker.handle_async_request(request(call(host=host)))
        except VenueError as error:
            return error.reason
        return "ok"

    async def fail(self, error: VenueError, times: int = 1) -> None:
        """Let the venue fail so many times."""
        self.mood = error
        for _ in range(times):
            assert error.reason == await self.ask()

    async def open_for(self) -> float:
        """Seconds until the host is asked again, to the half second."""
        sent, waited = len(self.inner.asked), 0.0
        while True:
            await self.ask()
            if len(self.inner.asked) > sent:
                return waited
            self.clock.advance(0.5)
            waited += 0.5


@pytest.fixture
def world() -> World:
    """A breaker that has seen nothing yet."""
    return World()


@pytest.mark.parametrize(
    "error",
    [VenueRefused("refused: x"), VenueTimeout("timeout: x"), VenueHttp(500), VenueHttp(522)],
    ids=lambda error: error.reason,
)
async def test_three_failures_in_a_row_open_it(world: World, error: VenueError) -> None:
    """The fourth question is refused at once with the last reason, nothing is sent."""
    await world.fail(error, 3)
    assert error.reason == await world.ask()
    assert 3 == len(world.inner.asked)


async def test_an_answer_in_between_starts_the_count_anew(world: World) -> None:
    """In a row means in a row; a request that the venue rejects shows that it is there."""
    for healthy in (None, VenueRejected("rejected: symbol"), VenueHttp(301)):
        await world.fail(VenueHttp(500), 2)
        world.mood = healthy
        await world.ask()
    await world.fail(VenueHttp(500), 2)
    world.mood = None
    assert "ok" == await world.ask()


@pytest.mark.parametrize(
    "error",
    [
        VenueChanged("changed: x"),
        VenueRejected("rejected: x"),
        Unrecorded("unrecorded: x"),
        OverBudget("budget: x"),
    ],
    ids=lambda error: error.code,
)
async def test_what_does_not_mean_down_never_opens_it(world: World, error: VenueError) -> None:
    """A changed shape, a wrong question, a missing recording, our own restraint: ask on."""
    await world.fail(error, 10)
    assert 10 == len(world.inner.asked)


async def test_the_pause_doubles_up_to_two_minutes_and_is_forgotten(world: World) -> None:
    """Each failed trial doubles the pause; one answer closes the circuit for good."""
    await world.fail(VenueHttp(503), 3)
    pauses = [await world.open_for() for _ in range(6)]
    assert [10, 20, 40, 80, 120, 120] == pauses
    world.mood = None
    await world.open_for()
    await world.fail(VenueHttp(503), 3)
    assert 10 == await world.open_for()


async def test_a_burst_of_failures_is_one_opening(world: World) -> None:
    """Twenty requests that fail together do not escalate the pause twenty times."""
    world.mood = VenueHttp(503)
    gate = anyio.Event()

    async def late(_: httpx2.Request) -> httpx2.Response:
        await gate.wait()
        raise VenueHttp(503)

    burst = BreakerTransport(Scripted(late), world.clock)
    reasons: list[str] = []

    async def one() -> None:
        try:
            await burst.handle_async_request(request())
        except VenueError as error:
            reasons.append(error.reason)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert 20 * ["http 503"] == reasons
    world.breaker = burst
    world.clock.advance(10.5)
    await burst_probe(burst)


async def burst_probe(burst: BreakerTransport) -> None:
    """The trial after the first pause goes out (and fails): the pause was 10 s, not 120 s."""
    inner = burst._inner
    assert isinstance(inner, Scripted)
    with pytest.raises(VenueHttp):
        await burst.handle_async_request(request())
    assert 21 == len(inner.asked)


async def test_one_request_at_a_time_tries_again(world: World) -> None:
    """While a trial is under way the others are refused; its answer lets everyone through."""
    await world.fail(VenueHttp(503), 3)
    world.clock.advance(10)
    gate = anyio.Event()
    said: list[str] = []

    async def trial(_: httpx2.Request) -> httpx2.Response:
        await gate.wait()
        return judged()

    world.inner._script = trial

    async def one() -> None:
        said.append(await world.ask())

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        assert 4 * ["http 503"] == said
        gate.set()
    assert "ok" == said[-1]
    assert 4 == len(world.inner.asked)
    assert "ok" == await world.ask()


async def test_a_cancelled_trial_lets_the_next_one_try(world: World) -> None:
    """A trial whose askers leave soon says nothing; it must not lock the host for ever."""
    await world.fail(VenueHttp(503), 3)
    world.clock.advance(10)

    async def never(_: httpx2.Request) -> httpx2.Response:
        await anyio.sleep_forever()
        raise AssertionError

    world.inner._script = never
    with anyio.move_on_after(0.01):
        await world.ask()
    world.inner._script = lambda _: judged()
    assert "ok" == await world.ask()


async def test_hosts_are_kept_apart(world: World) -> None:
    """One host being down says nothing of another."""
    await world.fail(VenueHttp(503), 3)
    world.mood = None
    assert "http 503" == await world.ask()
    assert "ok" == await world.ask("other.venue.test")


async def test_a_location_block_is_remembered_for_six_hours(world: World) -> None:
    """One is enough; then one request tries again."""
    await world.fail(GEO)
    world.clock.advance(6 * 3600 - 1)
    assert GEO.reason == await world.ask()
    assert 1 == len(world.inner.asked)
    world.clock.advance(1)
    world.mood = None
    assert "ok" == await world.ask()


async def test_another_block_is_tried_again_after_minutes(world: World) -> None:
    """A 403 may be a firewall's pause: ten minutes, then twice as long each time."""
    await world.fail(BLOCKED)
    assert [600, 1200, 2400] == [await world.open_for() for _ in range(3)]


@pytest.mark.parametrize(
    "error,expected",
    [
        (VenueRateLimited(429, retry_after=30), 30),
        (VenueRateLimited(503, retry_after=300), 300),
        (VenueRateLimited(429), breaker.RATE_PAUSE),
        (VenueRateLimited(429, retry_after=0), breaker.RATE_PAUSE),
        (VenueRateLimited(418), breaker.LONGEST_PAUSE),
        (VenueRateLimited(418, retry_after=3600), 3600),
    ],
)
async def test_a_rate_limit_is_obeyed(
    world: World, error: VenueRateLimited, expected: float
) -> None:
    """As long as the venue said; else two seconds, and two minutes after a ban."""
    await world.fail(error)
    assert expected == await world.open_for()


async def test_limits_without_a_time_double(world: World) -> None:
    """A venue that limits again after the pause is left alone for longer."""
    await world.fail(VenueRateLimited(429))
    assert [2, 4, 8] == [await world.open_for() for _ in range(3)]


async def test_who_is_refused_hears_the_time_that_is_left(world: World) -> None:
    """`retry_after` counts down, and each asker gets an exception of its own."""
    world.mood = VenueRateLimited(429, retry_after=30)
    await world.ask()
    world.clock.advance(12)
    errors = []
    for _ in range(2):
        with pytest.raises(VenueRateLimited) as failure:
            await world.breaker.handle_async_request(request())
        errors.append(failure.value)
    assert [18, 18] == [error.retry_after for error in errors]
    assert errors[0] is not errors[1]


async def test_after_a_rate_limit_all_may_ask_again(world: World) -> None:
    """The venue said when: nobody is sent ahead."""
    await world.fail(VenueRateLimited(429, retry_after=5))
    world.clock.advance(5)
    gate = anyio.Event()
    said: list[str] = []

    async def slow(_: httpx2.Request) -> httpx2.Response:
        await gate.wait()
        return judged()

    world.inner._script = slow

    async def one() -> None:
        said.append(await world.ask())

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert ["ok", "ok", "ok"] == said


async def test_an_older_answer_does_not_lift_a_pause(world: World) -> None:
    """What was under way when the venue asked for a pause says nothing about the pause."""
    gates: list[anyio.Event] = []

    async def ordered(_: httpx2.Request) -> httpx2.Response:
        gate, number = anyio.Event(), len(gates)
        gates.append(gate)
        await gate.wait()
        if number == 0:
            raise VenueRateLimited(429, retry_after=30)
        return judged()

    world.inner._script = ordered
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(world.ask)
        await anyio.wait_all_tasks_blocked()
        gates[0].set()
        await anyio.wait_all_tasks_blocked()
        gates[1].set()
    assert "http 429: the venue asks for fewer requests" == await world.ask()
    assert 2 == len(world.inner.asked)


async def test_a_short_pause_does_not_shorten_a_long_one(world: World) -> None:
    """A limit that comes in after a location block leaves the block as it is."""
    gates: list[anyio.Event] = []

    async def ordered(_: httpx2.Request) -> httpx2.Response:
        gate, error = anyio.Event(), (GEO, VenueRateLimited(429, retry_after=1))[len(gates)]
        gates.append(gate)
        await gate.wait()
        raise error

    world.inner._script = ordered
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.ask)
        tasks.start_soon(world.ask)
        await anyio.wait_all_tasks_blocked()
        gates[0].set()
        await anyio.wait_all_tasks_blocked()
        gates[1].set()
    world.clock.advance(60)
    assert GEO.reason == await world.ask()


def sent(seconds: float, clock: FixedClock) -> Callable[[httpx2.Request], object]:
    """A venue that stays silent after its request was sent; the clock moves on meanwhile."""

    async def answer(asked: httpx2.Request) -> httpx2.Response:
        asked.extensions["sent_at"] = clock.monotonic()
        clock.advance(seconds)
        await anyio.sleep_forever()
        raise AssertionError

    return answer


@pytest.mark.parametrize(
    "seconds,expected", [(3.0, "timeout: the venue has been slow repeatedly"), (2.9, "ok")]
)
async def test_being_given_up_counts_when_it_took_long(
    world: World, seconds: float, expected: str
) -> None:
    """Askers who leave after three seconds count as failures of the venue, impatient ones not."""
    world.inner._script = sent(seconds, world.clock)  # type: ignore[assignment]
    for _ in range(3):
        with anyio.move_on_after(0.005):
            await world.ask()
    world.inner._script = lambda _: judged()
    assert expected == await world.ask()


async def test_time_spent_waiting_for_our_own_budget_is_not_the_venues(world: World) -> None:
    """A request that was never sent cannot have been slow."""

    async def queued(_: httpx2.Request) -> httpx2.Response:
        world.clock.advance(7)
        await anyio.sleep_forever()
        raise AssertionError

    world.inner._script = queued
    for _ in range(3):
        with anyio.move_on_after(0.005):
            await world.ask()
    world.inner._script = lambda _: judged()
    assert "ok" == await world.ask()


async def test_sockets_pass_through_whatever_the_state(world: World) -> None:
    """A handshake is neither refused nor taken as a sign of health."""
    await world.fail(GEO)
    plain = httpx2.Request("GET", f"wss://{HOST}/ws")
    socket = BreakerTransport(in_turn(httpx2.Response(403)), world.clock)
    socket._states = world.breaker._states
    assert 403 == (await socket.handle_async_request(plain)).status_code
    assert GEO.reason == await world.ask()


async def test_it_tells_which_hosts_are_left_alone(world: World) -> None:
    """Why and for how long; a failed host until it has answered, a rate limit until it is over."""
    assert [] == world.breaker.refused()
    await world.fail(VenueRefused("refused: x"), 3)
    limited = VenueRateLimited(429, retry_after=30.0)
    world.mood = limited
    await world.ask("limits.example")
    told = {one.host: (one.reason, one.seconds) for one in world.breaker.refused()}
    assert {HOST: ("refused: x", 10.0), "limits.example": (limited.reason, 30.0)} == told
    world.clock.advance(30)
    assert [(HOST, 0.0)] == [(one.host, one.seconds) for one in world.breaker.refused()]
    world.mood = None
    await world.ask()
    assert [] == world.breaker.refused()


class TestLearning:
    """What a host answers to other replicas counts here too."""

    async def test_failures_of_others_open_it(self, world: World) -> None:
        """Three that the host itself has answered, here and elsewhere, then nothing is sent."""
        await world.fail(VenueHttp(503))
        for _ in range(2):
            world.breaker.learn(HOST, VenueHttp(503), 0.1)
        sent = len(world.inner.asked)
        assert "http 503" == await world.ask()
        assert sent == len(world.inner.asked)

    async def test_a_limit_told_to_others_is_kept_here(self, world: World) -> None:
        """For as long as the venue said."""
        limit = VenueRateLimited(429, retry_after=7.0)
        world.breaker.learn(HOST, limit, 0.1)
        assert limit.reason == await world.ask()
        assert [] == world.inner.asked
        world.clock.advance(7)
        assert "ok" == await world.ask()

    @pytest.mark.parametrize(
        "error",
        [GEO, VenueRefused("refused: x"), VenueTimeout("timeout: x"), VenueChanged("changed: x")],
        ids=lambda error: error.reason,
    )
    async def test_where_others_are_says_nothing_of_here(
        self, world: World, error: VenueError
    ) -> None:
        """Their location and their network are not ours."""
        for _ in range(5):
            world.breaker.learn(HOST, error, 0.1)
        assert "ok" == await world.ask()

    async def test_what_was_under_way_is_no_further_failure(self, world: World) -> None:
        """Flights of others that began before it opened do not make the pause longer."""
        await world.fail(VenueHttp(500), 3)
        for _ in range(4):
            world.breaker.learn(HOST, VenueHttp(500), 5.0)
        world.mood = None
        world.clock.advance(breaker.FIRST_PAUSE)
        assert "ok" == await world.ask()
