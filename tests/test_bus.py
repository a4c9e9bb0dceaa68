"""The notification bus: who is told what, how often, and that the last word is always told."""

import logging
from collections.abc import Callable

import anyio
import pytest
from fakes import NOW

from mmflow_mcp.bus import Bus
from mmflow_mcp.clock import FixedClock, SystemClock

URI = "mmflow://status"


class World:
    """A bus on a clock that stands, with what it wants done later."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOW)
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.heard: list[str] = []
        self.bus = Bus(self.clock, self.later)
        self.stop = self.bus.listen(self.heard.append)

    def later(self, seconds: float, function: Callable[[], None]) -> bool:
        """Note it."""
        self.waiting.append((seconds, function))
        return True

    def pass_time(self, seconds: float) -> None:
        """Move on, and do what is due."""
        self.clock.advance(seconds)
        due = [function for after, function in self.waiting if after <= seconds]
        self.waiting = [(after - seconds, f) for after, f in self.waiting if after > seconds]
        for function in due:
            function()


@pytest.fixture
def world() -> World:
    """A bus with one listener."""
    return World()


def test_the_first_notice_is_told_at_once(world: World) -> None:
    """To everyone who listens, in the order in which they came."""
    order: list[str] = []
    world.bus.listen(lambda uri: order.append(f"b {uri}"))
    world.bus.listen(lambda uri: order.append(f"c {uri}"))
    assert world.bus.publish(URI) is True
    assert ([URI], [f"b {URI}", f"c {URI}"]) == (world.heard, order)


def test_notices_within_a_second_are_one_more_at_its_end(world: World) -> None:
    """Ten changes are told twice: the first, and the last when the second is over."""
    told = [world.bus.publish(URI)]
    for _ in range(9):
        world.clock.advance(0.05)
        told.append(world.bus.publish(URI))
    assert ([True] + 9 * [False], [URI], 1) == (told, world.heard, len(world.waiting))
    assert pytest.approx(0.95) == world.waiting[0][0]
    world.pass_time(0.95)
    assert [URI, URI] == world.heard


def test_the_late_notice_begins_a_second_of_its_own(world: World) -> None:
    """Never more than one a second, the late ones included."""
    world.bus.publish(URI)
    world.clock.advance(0.5)
    world.bus.publish(URI)
    world.pass_time(0.5)
    world.clock.advance(0.5)
    assert world.bus.publish(URI) is False
    assert 2 == len(world.heard)


def test_without_a_change_nothing_is_told_late(world: World) -> None:
    """One notice is one notice."""
    world.bus.publish(URI)
    world.pass_time(5)
    assert ([URI], []) == (world.heard, world.waiting)


def test_a_late_notice_that_was_overtaken_is_not_told_again(world: World) -> None:
    """A timer that comes late finds its notice told."""
    world.bus.publish(URI)
    world.clock.advance(0.9)
    world.bus.publish(URI)
    world.clock.advance(0.2)
    assert world.bus.publish(URI) is True
    world.pass_time(1)
    assert [URI, URI] == world.heard


def test_uris_do_not_hold_each_other_back(world: World) -> None:
    """The second is of each URI."""
    world.bus.publish(URI)
    assert world.bus.publish("mmflow://venues") is True


def test_who_has_stopped_hears_nothing(world: World) -> None:
    """Stopping twice is no error, and late notices are not told either."""
    world.bus.publish(URI)
    world.bus.publish(URI)
    world.stop()
    world.stop()
    world.pass_time(2)
    assert [URI] == world.heard


def test_a_listener_may_stop_while_it_is_told(world: World) -> None:
    """The others are told all the same."""
    stops: list[Callable[[], None]] = []
    stops.append(world.bus.listen(lambda _: stops[0]()))
    last: list[str] = []
    world.bus.listen(last.append)
    world.bus.publish(URI)
    assert [URI] == last


def test_a_listener_that_fails_harms_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither who publishes nor who listens; what it was is in the log."""

    def fail(_: str) -> None:
        raise RuntimeError("the session has gone")

    world.bus._listeners.insert(0, fail)
    with caplog.at_level(logging.ERROR, logger="mmflow_mcp"):
        assert world.bus.publish(URI) is True
    assert [URI] == world.heard
    assert "the session has gone" in caplog.text


def test_without_an_event_loop_it_still_tells_the_first() -> None:
    """Nothing can be told late there, and nothing fails."""
    heard: list[str] = []
    bus = Bus(FixedClock(NOW))
    bus.listen(heard.append)
    assert (True, False) == (bus.publish(URI), bus.publish(URI))
    assert [URI] == heard


@pytest.mark.anyio
async def test_on_the_event_loop_the_last_change_is_told_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Real time: nobody publishes again, and the listener still hears the last change."""
    monkeypatch.setattr("mmflow_mcp.bus.SECONDS_BETWEEN", 0.05)
    bus = Bus(SystemClock())
    heard: list[str] = []
    twice = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def note(uri: str) -> None:
            heard.append(uri)
            if len(heard) == 2:
                twice.set()

        def told(uri: str) -> None:
            # As the MCP face does: a notice starts a task of the app.
            tasks.start_soon(note, uri)

        bus.listen(told)
        assert (True, False) == (bus.publish(URI), bus.publish(URI))
        with anyio.fail_after(2):
            await twice.wait()
        await anyio.sleep(0.1)
    assert [URI, URI] == heard


def test_what_is_for_every_replica_is_spread_as_seldom_as_it_is_told(world: World) -> None:
    """Ten changes within a second are spread twice; what was heard from others is not passed on."""
    spread: list[str] = []
    world.bus.spread = spread.append
    for _ in range(10):
        world.bus.publish(URI)
    assert [URI] == spread
    world.pass_time(1.0)
    assert [URI] * 2 == spread == world.heard
    world.pass_time(1.0)
    world.bus.hear(URI)
    world.bus.publish("mmflow://here", everywhere=False)
    assert ([URI] * 2, [*[URI] * 3, "mmflow://here"]) == (spread, world.heard)


def test_what_is_followed_here_needs_no_word_from_elsewhere(world: World) -> None:
    """A subscriber would be told twice of one change."""
    world.bus.own = lambda uri: uri == URI
    assert not world.bus.hear(URI)
    assert world.bus.hear("mmflow://other")
    assert ["mmflow://other"] == world.heard
