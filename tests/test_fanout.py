"""One question to many venues: order, failures, deadlines, the cached pass, and what meta says."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Self

import anyio
import anyio.lowlevel
import httpx2
import pytest
from fanouts import READ_AT, A, B, C, Plain, doing, good, http, later, parse, world

from mmflow_mcp.core.fanout import gather
from mmflow_mcp.errors import AllVenuesFailed
from mmflow_mcp.rows import FundingRow
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.capabilities import Funding

pytestmark = pytest.mark.anyio


async def test_rows_come_in_the_order_of_the_venues() -> None:
    """Whoever answers first; the coins of a venue in the order that was asked."""
    slow_first: dict[str, Any] = {
        "alpha": later(0.04, lambda: good("alpha")),
        "beta": later(0.02, lambda: good("beta")),
    }
    async with world(**slow_first) as w:
        found = await w.ask(A, B, C, coins=("ETH", "BTC"))
    assert [
        ("alpha", "ETH"),
        ("alpha", "BTC"),
        ("beta", "ETH"),
        ("beta", "BTC"),
        ("gamma", "ETH"),
        ("gamma", "BTC"),
    ] == [(row.venue, row.coin) for row in found.rows]
    assert (["alpha:rates", "beta:rates", "gamma:rates"], False, []) == (
        found.sources,
        found.partial,
        found.notes,
    )


async def test_the_venues_are_asked_at_once() -> None:
    """Three venues of 100 ms each do not take 300 ms."""
    slow: dict[str, Any] = {
        name: later(0.1, partial(good, name)) for name in ("alpha", "beta", "gamma")
    }
    async with world(**slow) as w:
        started = anyio.current_time()
        await w.ask(A, B, C)
        assert anyio.current_time() - started < 0.28


FAILURES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "no connection": (lambda: httpx2.ConnectError("x"), "refused", "error"),
    "a connection that breaks": (lambda: httpx2.ReadError("x"), "refused", "error"),
    "a time-out below": (lambda: httpx2.ReadTimeout("x"), "timeout", "error"),
    "silence": (later(30, lambda: good("beta")), "timeout", "error"),
    "500": (http(500), "http 500", "error"),
    "503 with a page": (http(503, b"<html>"), "http 503", "error"),
    "404": (http(404), "http 404", "error"),
    "403": (http(403, b"<html>"), "blocked", "error"),
    "451": (http(451), "geo", "error"),
    "429": (http(429, headers={"retry-after": "60"}), "http 429", "error"),
    "418": (http(418), "http 418", "error"),
    "a page": (http(200, b"<html>"), "changed", "error"),
    "half an answer": (http(200, b'{"venue":"beta","ra'), "changed", "error"),
    "a list instead": (http(200, b"[]"), "changed", "error"),
    "a missing member": (http(200, b'{"venue":"beta"}'), "changed", "error"),
    "null": (http(200, b"null"), "changed", "error"),
    "not recorded": (http(599, headers={"x-mmflow-unrecorded": "GET x"}), "unrecorded", "missing"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_one_venue_failing_leaves_the_others_intact(failure: str) -> None:
    """Its reason is noted with its code, the answer is partial, the others' rows are as ever."""
    how, code, status = FAILURES[failure]
    async with world(deadline=0.4, beta=how) as w:
        started = anyio.current_time()
        found = await w.ask(A, B, C)
        assert anyio.current_time() - started < 2
    assert ["alpha", "gamma"] == [row.venue for row in found.rows] == found.answered
    assert found.partial
    (note,) = found.notes
    assert ("beta", status) == (note["source"], note["status"])
    assert note["reason"].startswith(code)
    assert ["alpha:rates", "gamma:rates"] == found.sources


class TestTheDeadline:
    """The question ends when it has to."""

    async def test_a_slow_venue_is_reported_and_not_awaited(self) -> None:
        """Even one that does not listen to time-outs below: its request is given up."""
        async with world(deadline=0.1) as w:

            async def deaf(self: Plain, ask: Ask) -> list[FundingRow]:
                await anyio.sleep(5)
                return []

            started = anyio.current_time()
            found = await w.ask(A, doing("deaf", deaf))
            assert anyio.current_time() - started < 2
        assert [
            {"source": "deaf", "status": "error", "reason": "timeout: no answer within 0.1 s"}
        ] == found.notes
        assert ["alpha"] == [row.venue for row in found.rows]

    async def test_the_reason_is_the_time_that_the_question_had(self) -> None:
        """Not the moment less that the request below it was given."""
        async with world(deadline=0.5, beta=later(5, lambda: good("beta"))) as w:
            found = await w.ask(A, B)
        assert ["timeout: no answer within 0.5 s"] == [note["reason"] for note in found.notes]

    async def test_the_request_of_a_slow_venue_is_cancelled(self) -> None:
        """Nothing goes on in the background that nobody waits for."""
        async with world(deadline=0.1, beta=later(5, lambda: good("beta"))) as w:
            await w.ask(A, B)
            await anyio.sleep(0.02)
            assert 1 == w.base.cancelled

    async def test_who_asked_being_cancelled_ends_the_question(self) -> None:
        """A cancelled question is no answer with time-outs in it."""
        async with world(beta=later(5, lambda: good("beta"))) as w:
            with anyio.move_on_after(0.02) as scope:
                await w.ask(A, B)
            assert scope.cancelled_caught


class TestAllFailing:
    """Nobody answered."""

    async def test_it_is_an_error_with_every_reason(self) -> None:
        """With the notes and the meta that an answer would have had."""
        async with world(kind="sim", alpha=http(451), beta=http(500)) as w:
            with pytest.raises(AllVenuesFailed) as failure:
                await w.ask(A, B)
        error = failure.value
        assert ["alpha", "beta"] == [note["source"] for note in error.sources]
        assert ("sim:alpha+beta", True) == (error.meta["source"], error.meta["partial"])
        assert error.sources == error.meta["sources"]
        assert "alpha: geo: http 451" in str(error)
        assert "beta: http 500" in str(error)

    async def test_venues_that_gave_nothing_but_reasons_have_failed(self) -> None:
        """Every optional call failing is no empty success."""

        async def optional(self: Plain, ask: Ask) -> list[FundingRow]:
            (wire,) = await ask.all(self.rates(optional=True))
            ask.short("http 500 (rates)", coin="BTC")
            return ask.pick(wire.parsed(parse) if wire else {})

        async with world(alpha=http(500)) as w:
            venue = doing("alpha", optional)
            with pytest.raises(AllVenuesFailed, match="alpha: http 500"):
                await w.ask(venue)
            with pytest.raises(AllVenuesFailed):
                await w.ask(venue, coins=None)
            found = await w.ask(venue, B)
        assert (["beta"], ["beta:rates"], True) == (found.answered, found.sources, found.partial)

    async def test_a_venue_that_does_not_list_the_coin_has_answered(self) -> None:
        """Also where it has some other row that could not be read."""

        async def odd(self: Plain, ask: Ask) -> list[FundingRow]:
            ask.unread(1)
            return ask.pick((await ask.get(self.rates())).parsed(parse))

        async with world() as w:
            found = await w.ask(doing("alpha", odd), coins=("XYZ",))
        assert (["alpha"], {"XYZ": ["alpha"]}, []) == (
            found.answered,
            found.not_listed,
            found.rows,
        )

    async def test_no_venues_are_no_failure(self) -> None:
        """An empty question has an empty answer."""
        async with world() as w:
            assert ([], False) == ((await w.ask()).rows, (await w.ask()).partial)


class Tasks:
    """Counts the tasks that the event loop starts."""

    def __init__(self) -> None:
        self.started = 0
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        """Count from here."""

        def factory(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> Any:
            self.started += 1
            return asyncio.Task(coro, loop=loop, **more)

        self._loop.set_task_factory(factory)
        return self

    def __exit__(self, *_: object) -> None:
        """Count no more."""
        self._loop.set_task_factory(None)


class TestTheCachedPass:
    """What is fresh is answered at once."""

    async def test_a_question_that_is_all_fresh_starts_no_task(self) -> None:
        """The first time one task a venue and one a flight, the second time none."""
        async with world() as w:
            with Tasks() as cold:
                first = await w.ask(A, B, C)
            with Tasks() as warm:
                second = await w.ask(A, B, C)
        assert (6, 0) == (cold.started, warm.started)
        assert first == second

    async def test_only_what_is_missing_starts_tasks(self) -> None:
        """One venue's answer has to be fetched: one task and one flight."""
        async with world() as w:
            await w.ask(A, B)
            with Tasks() as tasks:
                found = await w.ask(A, B, C)
        assert 2 == tasks.started
        assert ["alpha", "beta", "gamma"] == found.answered

    async def test_rows_are_parsed_once(self) -> None:
        """The second answer holds the very rows of the first."""
        async with world() as w:
            first, second = await w.ask(A), await w.ask(A)
        assert first.rows[0] is second.rows[0]

    async def test_a_venue_that_waits_for_something_else_still_answers(self) -> None:
        """The pass without a task steps back, and the venue's side starts anew in a task."""
        begun = 0

        async def pauses(self: Plain, ask: Ask) -> list[FundingRow]:
            nonlocal begun
            begun += 1
            ask.short("noted by the pass")
            await anyio.lowlevel.checkpoint()
            ask.shortfalls.clear()
            return ask.pick((await ask.get(self.rates())).parsed(parse))

        async with world() as w:
            found = await w.ask(doing("alpha", pauses))
        assert (2, ["alpha"], []) == (begun, found.answered, found.notes)

    async def test_what_the_pass_noted_before_it_missed_is_forgotten(self) -> None:
        """A shortfall is noted once, by the side that answers."""

        async def two(self: Plain, ask: Ask) -> list[FundingRow]:
            wire = await ask.get(self.rates())
            ask.unread(2)
            await ask.get(self.rates("more"))
            return ask.pick(wire.parsed(parse))

        async with world() as w:
            await w.ask(Plain("alpha"))
            found = await w.ask(doing("alpha", two))
        assert ["changed: 2 rows could not be read"] == [note["reason"] for note in found.notes]

    async def test_a_cached_answer_in_an_unknown_shape_fails_its_venue_only(self) -> None:
        """Without a new request, and with the same reason."""
        async with world(alpha=http(200, b'{"rates":[1]}')) as w:
            reasons = [(await w.ask(A, B)).notes[0]["reason"] for _ in "12"]
        assert reasons[0] == reasons[1]
        assert reasons[0].startswith("changed: ")
        assert 2 == len(w.base.asked)


@pytest.mark.parametrize(
    "surprise",
    [
        KeyError("rates"),
        IndexError(),
        TypeError(),
        ValueError(),
        AttributeError(),
        ZeroDivisionError(),
        OverflowError(),
        UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_surprise_of_a_parser_is_a_change_and_no_crash(surprise: Exception) -> None:
    """Named by its type, in one sentence."""

    async def stumbles(self: Plain, ask: Ask) -> list[FundingRow]:
        await ask.get(self.rates())
        raise surprise

    async with world() as w:
        found = await w.ask(doing("alpha", stumbles), B)
    kind = type(surprise).__name__
    assert (
        f"changed: the answer is not in the documented shape ({kind})" == (found.notes[0]["reason"])
    )
    assert ["beta"] == found.answered


class TestWhatMetaSays:
    """Notes, labels, times."""

    async def test_a_coin_that_is_not_listed_is_no_failure(self) -> None:
        """It is told by coin and venue, and the answer is whole."""
        async with world(beta=lambda: good("beta", ETH=0.1)) as w:
            found = await w.ask(A, B, coins=("BTC", "XYZ"))
        assert {"BTC": ["beta"], "XYZ": ["alpha", "beta"]} == found.not_listed
        assert (False, [], {"BTC", "ETH"}) == (found.partial, found.notes, found.universe)

    async def test_a_coin_that_could_not_be_read_is_listed(self) -> None:
        """It is a shortfall of the venue and not a coin that it does not have."""

        async def unreadable(self: Plain, ask: Ask) -> list[FundingRow]:
            wire = await ask.get(self.rates())
            ask.short("changed: no rate of SOL", coin="SOL")
            return ask.pick(wire.parsed(parse))

        async with world() as w:
            found = await w.ask(doing("alpha", unreadable), coins=("BTC", "SOL"))
        assert ({}, True) == (found.not_listed, found.partial)
        assert [
            {"source": "alpha", "status": "error", "reason": "changed: no rate of SOL"}
        ] == found.notes

    async def test_many_shortfalls_are_one_short_note(self) -> None:
        """Three are told, the rest are counted, and none twice."""

        async def short(self: Plain, ask: Ask) -> list[FundingRow]:
            for n in (1, 1, 2, 3, 4, 5):
                ask.short(f"http 500 (call{n})")
            return ask.pick((await ask.get(self.rates())).parsed(parse))

        async with world() as w:
            found = await w.ask(doing("alpha", short))
        assert (
            "http 500 (call1); http 500 (call2); http 500 (call3); and 2 more"
            == (found.notes[0]["reason"])
        )

    async def test_an_old_list_is_noted_with_its_age(self) -> None:
        """The oldest copy speaks for all; the answer is not partial for it."""
        listed = {"reference": True, "fresh": -1.0}

        async def lists(self: Plain, ask: Ask) -> list[FundingRow]:
            wire, *_ = await ask.all(
                self.rates(fresh=-1.0), self.rates("list", **listed), self.rates("new", **listed)
            )
            return ask.pick(wire.parsed(parse))

        venue = doing("alpha", lists)
        async with world() as w:
            await w.core.upstream.fetch(venue.rates("list", **listed), 1e12)
            await anyio.sleep(0.06)
            await w.core.upstream.fetch(venue.rates("new", **listed), 1e12)
            w.answers.update({"alpha_list": http(404), "alpha_new": http(404)})
            found = await w.ask(venue)
        (note,) = found.notes
        expected = "http 404: the venue rejected the request (list: an older copy was used)"
        assert ("alpha", "stale", expected) == (note["source"], note["status"], note["reason"])
        assert 60 <= note["ageMs"] < 1000
        assert (False, ["alpha:rates"]) == (found.partial, found.sources)

    async def test_a_cut_universe_is_told_where_no_coins_were_named(self) -> None:
        """Only then: named coins are answered in full."""

        class Cut(Plain):
            default_coins: ClassVar[tuple[str, ...] | None] = ("BTC",)

            async def funding(self, ask: Ask) -> list[FundingRow]:
                ask.narrowed = "BTC only"
                return ask.pick((await ask.get(self.rates())).parsed(parse))

        async with world() as w:
            cut = await w.ask(Cut("alpha"), coins=None)
            named = await w.ask(Cut("alpha"), coins=("ETH",))
        assert ({"alpha": "BTC only"}, ["BTC"]) == (cut.narrowed, [r.coin for r in cut.rows])
        assert ({}, ["ETH"]) == (named.narrowed, [r.coin for r in named.rows])

    async def test_the_oldest_reading_counts(self) -> None:
        """`fetched_at` of the answer is that of its oldest wire; lists do not count."""

        def at(ms: int) -> Callable[[], httpx2.Response]:
            doc = json.dumps({"venue": "alpha", "rates": {"BTC": 0.1}}).encode()
            return lambda: httpx2.Response(200, content=doc, extensions={"read_at": ms})

        async def both(self: Plain, ask: Ask) -> list[FundingRow]:
            wire, _, _ = await ask.all(
                self.rates(), self.rates("list", reference=True), self.rates("more")
            )
            return ask.pick(wire.parsed(parse))

        async with world(alpha_rates=at(900), alpha_list=at(100), alpha_more=at(700)) as w:
            found = await w.ask(doing("alpha", both), B)
        assert (700, ["alpha:rates", "alpha:more", "beta:rates"]) == (
            found.fetched_at,
            found.sources,
        )

    async def test_lists_are_named_where_they_are_the_answer(self) -> None:
        """A question that needs nothing but the list names it."""

        async def only_list(self: Plain, ask: Ask) -> list[FundingRow]:
            return ask.pick((await ask.get(self.rates("list", reference=True))).parsed(parse))

        async with world() as w:
            found = await w.ask(doing("alpha", only_list))
        assert (["alpha:list"], READ_AT) == (found.sources, found.fetched_at)

    @pytest.mark.parametrize(
        "kind,expected", [("live", "alpha:rates"), ("replay", "replay:alpha:rates")]
    )
    async def test_what_is_not_live_says_so(self, kind: str, expected: str) -> None:
        """The source begins with where the bytes came from."""
        async with world(kind=kind) as w:
            found = await w.ask(A, B)
        assert [expected, "beta:rates"] == found.sources

    async def test_what_is_known_before_stands_first(self) -> None:
        """Notes that the question brings along."""
        known = {"source": "zeta", "status": "missing", "reason": "closed: long ago"}
        async with world(alpha=http(451)) as w:
            found = await gather(w.core, Funding, [A, B], ("BTC",), notes=[known])
        assert ["zeta", "alpha"] == [note["source"] for note in found.notes]
