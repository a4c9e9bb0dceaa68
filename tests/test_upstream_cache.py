"""The cache at the wire: freshness by the call, one flight for all, old copies where allowed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import TaskGroup
from fakes import NOW, Scripted, call, in_turn, judged, request

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import VenueChanged, VenueError, VenueHttp, VenueTimeout
from mmflow_mcp.upstream.cache import CacheTransport, Fault
from mmflow_mcp.upstream.health import HealthLedger
from mmflow_mcp.upstream.judge import JudgeTransport
from mmflow_mcp.upstream.wire import NOTHING, Call, Wire, ask_json, get

pytestmark = pytest.mark.anyio


class World:
    """A cache over a double, and the clock that both see."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, tasks: TaskGroup, **how: Any) -> None:
        self.clock = FixedClock(NOW)
        settings: dict[str, Any] = {"max_bytes": 1_000_000, "flight_seconds": 10.0, **how}
        self.cache = CacheTransport(inner, clock=self.clock, tasks=tasks, **settings)

    async def ask(
        self, asked: Call | None = None, *, deadline: float | None = None
    ) -> tuple[Any, str | None]:
        """The document of an answer, and why it is stale."""
        response = await self.cache.handle_async_request(request(asked, deadline=deadline))
        return response.extensions["wire"].doc, response.extensions["stale"]


@asynccontextmanager
async def world(inner: httpx2.AsyncBaseTransport, **how: Any) -> AsyncIterator[World]:
    """A cache whose flights end with the block."""
    async with anyio.create_task_group() as tasks:
        yield World(inner, tasks, **how)
        tasks.cancel_scope.cancel()


def counting(seconds: float = 0.0) -> Scripted:
    """Answers 1, 2, 3 ..., each after some seconds."""
    asked = 0

    async def answer(_: httpx2.Request) -> httpx2.Response:
        nonlocal asked
        asked += 1
        number = asked
        await anyio.sleep(seconds)
        return judged(number)

    return Scripted(answer)


class TestFreshness:
    """How old an answer may be is said by who asks."""

    async def test_an_answer_serves_until_the_age_that_the_call_states(self) -> None:
        """The same answer is too old for one call and good for another."""
        async with world(counting()) as w:
            await w.ask()
            w.clock.advance(5.0)
            assert (1, None) == await w.ask(call(fresh=5))
            w.clock.advance(0.001)
            assert (1, None) == await w.ask(call(fresh=60))
            assert (2, None) == await w.ask(call(fresh=5))

    async def test_peek_never_asks(self) -> None:
        """The synchronous look gives what is fresh, else None, and sends nothing."""
        inner = counting()
        async with world(inner) as w:
            assert w.cache.peek(call()) is None
            await w.ask()
            wire = w.cache.peek(call())
            w.clock.advance(6)
            assert (1, None) == (wire and wire.doc, w.cache.peek(call(fresh=5)))
            assert 1 == len(inner.asked)

    async def test_the_body_is_part_of_the_question(self) -> None:
        """Two POSTs to one address are two questions; members make them, not the label."""
        url = "https://api.venue.test/info"
        async with world(counting()) as w:
            first = await w.ask(ask_json(url, {"type": "a"}, label="x"))
            second = await w.ask(ask_json(url, {"type": "b"}, label="x"))
            again = await w.ask(ask_json(url, {"type": "a"}, label="y"))
        assert ((1, None), (2, None), (1, None)) == (first, second, again)

    async def test_the_moment_of_a_recording_is_the_moment_of_reading(self) -> None:
        """`read_at` from below is kept; without it the clock says when."""
        recorded = httpx2.Response(200, content=b"1", extensions={"doc": 1, "read_at": 123})
        async with world(in_turn(recorded, judged(2))) as w:
            await w.ask(call("/old"))
            await w.ask(call("/new"))
            read = [w.cache.peek(call(path)) for path in ("/old", "/new")]
        assert [123, NOW] == [wire.fetched_at for wire in read if wire]

    async def test_an_answer_larger_than_the_cache_is_served_and_not_kept(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The bound of the cache is no bound on answers."""
        inner = Scripted(lambda _: judged("x" * 2000))
        async with world(inner, max_bytes=1000) as w:
            assert ("x" * 2000, None) == await w.ask()
            assert w.cache.peek(call()) is None
        assert "" == caplog.text

    async def test_the_least_used_answers_leave_first(self) -> None:
        """The cache holds `max_bytes`; what was looked at lately stays."""
        inner = Scripted(lambda _: judged("x" * 700))
        async with world(inner, max_bytes=2000) as w:
            await w.ask(call("/a"))
            await w.ask(call("/b"))
            await w.ask(call("/a"))
            await w.ask(call("/c"))
            held = [w.cache.peek(call(path)) is not None for path in ("/a", "/b", "/c")]
        assert [True, False, True] == held

    async def test_what_is_no_call_passes_through(self) -> None:
        """A socket's request reaches the layer below untouched and is not kept."""
        inner = in_turn(httpx2.Response(101), httpx2.Response(426))
        async with world(inner) as w:
            plain = httpx2.Request("GET", "wss://api.venue.test/ws")
            statuses = [(await w.cache.handle_async_request(plain)).status_code for _ in "12"]
        assert [101, 426] == statuses
        assert inner.asked == [plain, plain]


class TestSingleFlight:
    """Many askers, one request."""

    async def test_200_askers_at_once_send_one_request(self) -> None:
        """All get the same answer."""
        inner = counting(0.02)
        got: list[Any] = []
        async with world(inner) as w:

            async def one() -> None:
                got.append(await w.ask())

            async with anyio.create_task_group() as askers:
                for _ in range(200):
                    askers.start_soon(one)
        assert 200 * [(1, None)] == got
        assert 1 == len(inner.asked)

    async def test_the_first_asker_leaving_costs_the_others_nothing(self) -> None:
        """199 of 200 get the answer of the one flight when who started it is cancelled."""
        inner = counting(0.05)
        got: list[Any] = []
        async with world(inner) as w:
            first = anyio.CancelScope()

            async def starter() -> None:
                with first:
                    got.append(await w.ask())

            async def other() -> None:
                got.append(await w.ask())

            async with anyio.create_task_group() as askers:
                askers.start_soon(starter)
                for _ in range(199):
                    askers.start_soon(other)
                await anyio.sleep(0.01)
                first.cancel()
        assert 199 * [(1, None)] == got
        assert (1, 0) == (len(inner.asked), inner.cancelled)

    async def test_nobody_waiting_cancels_the_flight(self) -> None:
        """The request is given up with its last asker, and a later asker starts a new one."""
        inner = counting(0.05)
        async with world(inner) as w:
            async with anyio.create_task_group() as askers:
                askers.start_soon(w.ask)
                askers.start_soon(w.ask)
                await anyio.sleep(0.01)
                askers.cancel_scope.cancel()
            await anyio.sleep(0.01)
            assert (1, 1) == (len(inner.asked), inner.cancelled)
            assert (2, None) == await w.ask()

    async def test_an_asker_in_the_moment_of_giving_up_gets_a_flight_of_its_own(self) -> None:
        """Joining what is being cancelled would fail it for no reason of its own."""
        inner = counting(0.03)
        async with world(inner) as w:
            with anyio.move_on_after(0.01):
                await w.ask()
            assert (2, None) == await w.ask()

    async def test_each_waiter_gets_an_exception_of_its_own(self) -> None:
        """One object raised in many tasks would mix up their tracebacks."""

        async def fail(_: httpx2.Request) -> httpx2.Response:
            await anyio.sleep(0.01)
            raise VenueHttp(503)

        inner = Scripted(fail)
        errors: list[VenueError] = []
        async with world(inner) as w:

            async def one() -> None:
                with pytest.raises(VenueHttp) as failure:
                    await w.ask()
                errors.append(failure.value)

            async with anyio.create_task_group() as askers:
                for _ in range(5):
                    askers.start_soon(one)
        assert 1 == len(inner.asked)
        assert 5 == len({id(error) for error in errors})
        assert {("http 503", 503, True)} == {
            (e.reason, e.http_status, e.retryable)  # type: ignore[attr-defined]
            for e in errors
        }

    async def test_a_failure_is_not_kept(self) -> None:
        """The next asker tries again."""
        async with world(in_turn(VenueHttp(500), judged("well"))) as w:
            with pytest.raises(VenueHttp):
                await w.ask()
            assert ("well", None) == await w.ask()

    async def test_a_flight_has_a_bound_of_its_own(self) -> None:
        """An answer that never comes is a time-out for all, whoever waits how long."""
        async with world(counting(30), flight_seconds=0.05) as w:
            with anyio.fail_after(1), pytest.raises(VenueTimeout) as failure:
                await w.ask()
        assert "timeout: no answer within 0.05 s" == failure.value.reason

    async def test_a_fault_of_ours_fails_its_askers_and_not_the_app(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The flight runs in a task of the app, which a KeyError must not end."""
        async with world(in_turn(KeyError("surprise"), judged("alive"))) as w:
            with pytest.raises(Fault) as failure:
                await w.ask()
            assert ("alive", None) == await w.ask()
        assert "internal: KeyError while the venue was asked" == failure.value.reason
        assert "surprise" in caplog.text

    async def test_the_app_ending_leaves_nobody_waiting(self) -> None:
        """Askers outside the app's task group are told instead of hanging."""
        ended: list[str] = []
        told = anyio.Event()
        async with anyio.create_task_group() as outside:
            async with world(counting(30)) as w:

                async def one() -> None:
                    with pytest.raises(VenueTimeout) as failure:
                        await w.ask()
                    ended.append(failure.value.code)
                    told.set()

                outside.start_soon(one)
                await anyio.sleep(0.01)
            with anyio.fail_after(1):
                await told.wait()
        assert ["timeout"] == ended

    async def test_a_cache_without_its_app_refuses_and_holds_nobody(self) -> None:
        """After the task group has ended, no flight is left behind for others to wait on."""
        async with world(counting()) as w:
            pass
        for _ in range(2):
            with anyio.fail_after(1), pytest.raises(RuntimeError):
                await w.ask()

    async def test_who_joins_later_lets_the_flight_last_longer(self) -> None:
        """Retries and budget waits below end at the latest deadline of those who wait."""
        seen: list[float] = []

        async def answer(asked: httpx2.Request) -> httpx2.Response:
            await anyio.sleep(0.02)
            seen.append(asked.extensions["deadline"])
            return judged()

        async with world(Scripted(answer)) as w, anyio.create_task_group() as askers:
            for deadline in (3.0, 9.0, 5.0):
                askers.start_soon(lambda d: w.ask(deadline=d), deadline)
        assert [9.0] == seen


class TestOldCopies:
    """A list that changes by the day may be old when the venue fails."""

    LISTED = call("/instruments", reference=True, fresh=3600)

    async def test_an_old_list_stands_in_with_the_reason(self) -> None:
        """The venue fails after the list is no longer fresh: the old one serves, and says why."""
        async with world(in_turn(judged("listed"), VenueHttp(502))) as w:
            await w.ask(self.LISTED)
            w.clock.advance(3601)
            assert ("listed", "http 502") == await w.ask(self.LISTED)

    async def test_a_list_is_too_old_after_a_week(self) -> None:
        """Then the failure stands."""
        async with world(in_turn(judged("listed"), VenueHttp(502))) as w:
            await w.ask(self.LISTED)
            w.clock.advance(7 * 86_400 + 1)
            with pytest.raises(VenueHttp):
                await w.ask(self.LISTED)

    async def test_prices_are_never_served_old(self) -> None:
        """Without `reference` there is no standing in."""
        async with world(in_turn(judged("price"), VenueTimeout("timeout: late"))) as w:
            await w.ask(call(fresh=5))
            w.clock.advance(6)
            with pytest.raises(VenueTimeout):
                await w.ask(call(fresh=5))


def judge_over(inner: httpx2.AsyncBaseTransport, clock: FixedClock) -> JudgeTransport:
    """The judge, who decodes."""
    return JudgeTransport(
        inner,
        clock=clock,
        health=HealthLedger(clock),
        refusals={},
        venues={},
        attempt_seconds=5.0,
    )


@pytest.mark.parametrize(
    "body",
    [b'{"rows": [1, 2', b"", b"<html>", b'{"a": 1} {', b'{"a": NaN}'],
    ids=["cut", "empty", "page", "trailing", "nan"],
)
async def test_what_is_not_json_is_never_cached(body: bytes) -> None:
    """A truncated answer fails its askers and leaves nothing behind; the next answer serves."""
    inner = in_turn(httpx2.Response(200, content=body), httpx2.Response(200, content=b'{"a": 1}'))
    async with world(judge_over(inner, FixedClock(NOW))) as w:
        with pytest.raises(VenueChanged):
            await w.ask()
        assert w.cache.peek(call()) is None
        assert ({"a": 1}, None) == await w.ask()


class TestWire:
    """What is parsed from an answer is worked out once."""

    def test_parsed_once_for_the_same_arguments(self) -> None:
        """The same wires and arguments give the same object; others are worked out anew."""
        runs = 0

        def parse(wire: Wire, *more: Any) -> list[Any]:
            nonlocal runs
            runs += 1
            return [wire.doc, *more]

        wire, other, alike = (Wire(d, fetched_at=1, read=0.0, size=1) for d in ("a", "b", "b"))
        assert wire.parsed(parse) is wire.parsed(parse)
        assert 1 == runs
        assert wire.parsed(parse, other, "x") is wire.parsed(parse, other, "x")
        assert 2 == runs
        # Another wire of the same content is another reading.
        wire.parsed(parse, alike, "x")
        wire.parsed(parse, alike, "y")
        assert 4 == runs

    def test_a_failure_to_parse_is_not_remembered(self) -> None:
        """A parser that raises is asked again."""
        wire = Wire({}, fetched_at=1, read=0.0, size=1)
        for _ in range(2):
            with pytest.raises(KeyError):
                wire.parsed(lambda w: w.doc["rows"])

    def test_nothing_is_false(self) -> None:
        """What an optional call did not get; an empty answer is still an answer."""
        assert (False, True) == (
            bool(NOTHING),
            bool(Wire([], fetched_at=1, read=0.0, size=1)),
        )

    def test_a_call_names_itself(self) -> None:
        """The label is the last part of the path, the host is without a port."""
        asked = get("https://api.venue.test:9443/v1/rates/", {"a": 1})
        assert ("rates", "api.venue.test", "GET") == (asked.label, asked.host, asked.method)
        inline = get("https://api.venue.test/v1/rates?x=a/b")
        assert "rates" == inline.label
