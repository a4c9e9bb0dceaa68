"""Retries: reads that broke are asked again, where there is time and the venue does not mind."""

import httpx2
import pytest
from fakes import NOW, Answer, Sleeper, call, in_turn, judged, request

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
from mmflow_mcp.upstream.budget import OverBudget
from mmflow_mcp.upstream.retry import ATTEMPTS, RetryTransport
from mmflow_mcp.upstream.wire import ask_json

pytestmark = pytest.mark.anyio


class World:
    """Retries over answers in turn, on a clock that sleeping moves."""

    def __init__(self, *answers: Answer, jitter: float = 0.5) -> None:
        self.clock = FixedClock(NOW)
        self.sleep = Sleeper(self.clock)
        self.inner = in_turn(*answers)
        self.retry = RetryTransport(self.inner, self.clock, sleep=self.sleep, jitter=lambda: jitter)

    async def ask(self, deadline: float | None = 8.0) -> httpx2.Response:
        """One question."""
        return await self.retry.handle_async_request(request(deadline=deadline))


@pytest.mark.parametrize(
    "error", [VenueRefused("refused: x"), *map(VenueHttp, (500, 502, 503, 504))]
)
async def test_a_broken_read_is_asked_again(error: VenueError) -> None:
    """At most twice, after a pause that doubles and carries jitter."""
    world = World(error, error.fresh(), judged("well"))
    assert b'"well"' == (await world.ask()).content
    assert pytest.approx([0.15, 0.3]) == world.sleep.pauses


async def test_the_last_failure_stands() -> None:
    """Three attempts, then the error of the last one."""
    world = World(VenueHttp(500), VenueHttp(502), VenueHttp(503))
    with pytest.raises(VenueHttp) as failure:
        await world.ask()
    assert ("http 503", ATTEMPTS) == (failure.value.reason, len(world.inner.asked))


async def test_without_room_to_ask_again_the_failure_stands() -> None:
    """The reason is what the venue did, not that its rate is spent by then."""
    world = World(VenueHttp(503), OverBudget("budget: x"), judged())
    with pytest.raises(VenueHttp, match="http 503"):
        await world.ask()
    assert 2 == len(world.inner.asked)


async def test_a_question_put_as_a_post_is_a_read_too() -> None:
    """What asks with a body changes nothing at the venue, and its body is sent again."""
    world = World(VenueHttp(500), judged())
    asked = ask_json("https://api.venue.test/info", {"type": "x"}, label="x")
    await world.retry.handle_async_request(request(asked))
    assert 2 * [b'{"type":"x"}'] == [await sent.aread() for sent in world.inner.asked]


@pytest.mark.parametrize(
    "error",
    [
        VenueTimeout("timeout: x"),
        VenueBlocked("geo: x"),
        VenueChanged("changed: x"),
        VenueRejected("rejected: x"),
        VenueHttp(501),
        VenueHttp(302),
        Unrecorded("unrecorded: x"),
        OverBudget("budget: x"),
        VenueRateLimited(429),
    ],
    ids=lambda error: error.reason[:12],
)
async def test_what_would_fail_again_is_not_repeated(error: VenueError) -> None:
    """Time-outs have used up their time; the others are final; a limit without a time is left."""
    world = World(error, judged())
    with pytest.raises(type(error)):
        await world.ask()
    assert (1, []) == (len(world.inner.asked), world.sleep.pauses)


class TestRetryAfter:
    """The venue says when to come back."""

    async def test_it_is_obeyed_and_never_undercut(self) -> None:
        """The pause is what the venue asked for and a little more."""
        world = World(VenueRateLimited(429, retry_after=3), judged())
        await world.ask()
        assert pytest.approx([3.15]) == world.sleep.pauses

    async def test_zero_is_not_at_once(self) -> None:
        """A pause of no seconds still leaves a moment."""
        world = World(VenueRateLimited(429, retry_after=0), judged(), jitter=0.0)
        await world.ask()
        assert pytest.approx([0.1]) == world.sleep.pauses

    @pytest.mark.parametrize("seconds", [7.9, 8, 30, 86_400])
    async def test_what_does_not_fit_before_the_deadline_is_not_waited_for(
        self, seconds: float
    ) -> None:
        """The failure stands at once, with the time that the venue named."""
        world = World(VenueRateLimited(429, retry_after=seconds), judged())
        with pytest.raises(VenueRateLimited) as failure:
            await world.ask()
        assert (seconds, []) == (failure.value.retry_after, world.sleep.pauses)


async def test_no_attempt_begins_without_room_for_it() -> None:
    """A pause that ends a moment before the deadline would only turn the reason into a time-out."""
    world = World(VenueHttp(503), judged())
    with pytest.raises(VenueHttp):
        await world.ask(deadline=0.3)
    assert 1 == len(world.inner.asked)


async def test_a_deadline_that_moves_on_gives_more_time() -> None:
    """Who joins the flight later may allow a retry that the first asker had no time for."""
    world = World(judged())
    asked = request(call(), deadline=0.1)

    def fail_and_join(_: httpx2.Request) -> Answer:
        if len(world.inner.asked) > 1:
            return judged("late")
        asked.extensions["deadline"] = 8.0
        return VenueHttp(503)

    world.inner._script = fail_and_join
    assert b'"late"' == (await world.retry.handle_async_request(asked)).content


async def test_without_a_deadline_there_is_time() -> None:
    """A request that names none is retried all the same."""
    world = World(VenueHttp(503), judged())
    assert 200 == (await world.ask(deadline=None)).status_code
