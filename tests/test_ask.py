"""One venue's side of a question, and what is checked when a venue is declared."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from fanouts import A, World, good, http, later, world

from mmflow_mcp.bus import Bus
from mmflow_mcp.clock import SystemClock
from mmflow_mcp.core.core import Core
from mmflow_mcp.errors import VenueChanged, VenueHttp, VenueRejected
from mmflow_mcp.rows import FundingRow
from mmflow_mcp.venues.ask import Ask, Miss
from mmflow_mcp.venues.base import Venue, capability_method
from mmflow_mcp.venues.capabilities import CAPABILITIES


@pytest.mark.anyio
class TestAsk:
    """One venue's side of a question."""

    @asynccontextmanager
    async def ask(
        self, *coins: str, cached_only: bool = False, **answers: Any
    ) -> AsyncIterator[tuple[Ask, World]]:
        """An `Ask` of alpha."""
        async with world(**answers) as w:
            upstream = w.core.upstream
            until = upstream.clock.monotonic() + 8
            yield (
                Ask("alpha", upstream, coins=coins, deadline=until, cached_only=cached_only),
                w,
            )

    async def test_several_calls_are_asked_at_once_and_answered_in_order(self) -> None:
        """The slower first one stays the first; what is asked twice is sent once."""
        slow = later(0.03, lambda: good("alpha", BTC=1.0))
        async with self.ask(alpha_a=slow, alpha_b=lambda: good("alpha", BTC=2.0)) as (ask, w):
            wires = await ask.all(A.rates("a"), A.rates("b"), A.rates("a"))
            assert 2 == len(w.base.asked)
        assert [1.0, 2.0, 1.0] == [wire.doc["rates"]["BTC"] for wire in wires]

    async def test_an_optional_call_that_fails_is_a_shortfall(self) -> None:
        """The others answer, and the failed one is nothing."""
        async with self.ask(alpha_b=http(500)) as (ask, _):
            first, second = await ask.all(A.rates("a"), A.rates("b", optional=True))
        assert (True, False) == (bool(first), bool(second))
        assert (["http 500 (b)"], ["a"]) == (ask.shortfalls, ask.labels)

    async def test_a_needed_call_that_fails_ends_the_others(self) -> None:
        """Its error is raised at once, as it is."""
        async with self.ask(alpha_a=later(5, lambda: good("a")), alpha_b=http(404)) as (ask, w):
            with anyio.fail_after(1), pytest.raises(VenueRejected):
                await ask.all(A.rates("a"), A.rates("b"))
            await anyio.sleep(0.02)
            assert 1 == w.base.cancelled

    async def test_asking_the_cache_alone_never_asks_the_venue(self) -> None:
        """What is not there is a miss, also for several."""
        async with self.ask(cached_only=True) as (ask, w):
            with pytest.raises(Miss):
                await ask.get(A.rates())
            with pytest.raises(Miss):
                await ask.all(A.rates(), A.rates("b"))
            assert [] == w.base.asked

    async def test_rows_are_picked_in_the_order_of_the_question(self) -> None:
        """Of a whole universe all, in the venue's order."""
        async with self.ask("C", "A", "X") as (ask, w):
            rows = {"A": 1, "B": 2, "C": 3}
            every = Ask("alpha", w.core.upstream, coins=None, deadline=0.0)
            assert ([3, 1], [1, 2, 3]) == (ask.pick(rows), every.pick(rows))
            assert (["C", "A"], ["A", "B"]) == (ask.wants(rows), every.wants(["A", "B"]))

    async def test_no_bad_rows_are_nothing_to_say(self) -> None:
        """One is said in the singular."""
        async with self.ask() as (ask, _):
            ask.unread(0)
            assert [] == ask.shortfalls
            ask.unread(1)
            assert ["changed: 1 row could not be read"] == ask.shortfalls


class TestDeclaring:
    """A venue's class is checked when it is written."""

    def test_a_method_that_is_no_capability_is_refused(self) -> None:
        """Its name is told with the names that there are."""
        with pytest.raises(TypeError, match=r"Bad\.fundings is no capability; fits: .*'funding'"):

            class Bad(Venue):
                async def fundings(self, ask: Ask) -> list[FundingRow]:
                    raise VenueHttp(500)

    def test_a_capability_has_one_signature(self) -> None:
        """Other parameters are refused, and so is a method that does not wait."""
        with pytest.raises(TypeError, match=r"Bad\.funding must have the signature"):

            class Bad(Venue):
                async def funding(self, ask: Ask, coin: str) -> list[FundingRow]:
                    raise VenueChanged(coin)

        with pytest.raises(TypeError, match=r"Worse\.funding must be an async method"):

            class Worse(Venue):
                def funding(self, ask: Ask) -> list[FundingRow]:
                    return []

    def test_what_is_inherited_is_checked_too(self) -> None:
        """A mixin may not bring in what the class could not have."""

        class Mixin:
            async def funding(self, coin: str) -> list[FundingRow]:
                raise VenueChanged(coin)

        with pytest.raises(TypeError, match=r"Bad\.funding must have the signature"):

            class Bad(Mixin, Venue):
                pass

    def test_every_capability_is_one_method(self) -> None:
        """Its name is what the fan-out calls."""
        methods = {name: capability_method(of) for name, of in CAPABILITIES.items()}
        expected = {"oi": "open_interest", "funding": "funding", "options": "option_chain"}
        assert expected.items() <= methods.items()
        assert len(methods) == len(set(methods.values()))

    def test_a_venue_without_words_of_its_own_refuses_nothing(self) -> None:
        """The hook's default."""
        assert A.refusal(200, b"{}") is None


def test_the_moment_is_that_of_the_wire_unless_it_is_pinned() -> None:
    """`--now` on a replay holds every age and option time."""
    clock = SystemClock()
    parts: Any = {"upstream": None, "clock": clock, "bus": Bus(clock), "archive": None}
    parts["tape"] = None
    assert (5, 9) == (Core(**parts).moment(5), Core(**parts, pinned_now=9).moment(5))
