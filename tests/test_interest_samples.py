"""Sums of open interest per moment: one-sided, of every contract that existed then, or none."""

from collections.abc import Mapping
from typing import Any

import pytest
from holdings import told

from mmflow_mcp.errors import VenueTimeout
from mmflow_mcp.rows.history import PastInterest
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.interest_samples import (
    Plan,
    Strand,
    ask_samples,
    sample,
    sum_samples,
    tell_samples,
)
from mmflow_mcp.venues.windows import Cadence, Page, Window

pytestmark = pytest.mark.anyio
WINDOW = Window(0, 100)


def strand(symbol: str, born: int | None = None, /, **usd: float | None) -> Strand:
    """A strand of points (t10 = at 10) of 1 coin each and so many USD."""
    return even(symbol, {int(at[1:]): value for at, value in usd.items()}, born)


def even(symbol: str, usd: Mapping[int, float | None], born: int | None = None) -> Strand:
    """The same from USD by moment."""
    points = {at: PastInterest(at, 1.0, value) for at, value in usd.items()}
    return Strand(symbol, points, born)


def totals(*strands: Strand) -> list[tuple[int, float, float | None]]:
    """Sums as (moment, coins, USD), every 10."""
    return [(one.ts, one.coins, one.usd) for one in sum_samples(strands, WINDOW, 10)[0]]


class TestSums:
    """Never a smaller sum."""

    def test_every_contract_counts(self) -> None:
        """3 coins and 60 USD of three contracts at each moment."""
        strands = [strand(name, t10=10.0, t20=20.0) for name in "abc"]
        assert [(10, 3.0, 30.0), (20, 3.0, 60.0)] == totals(*strands)

    def test_a_moment_that_one_lacks_is_left_out_and_counted(self) -> None:
        """b has nothing at 20 and 30: no smaller sum there."""
        strands = [strand("a", t10=1.0, t20=1.0, t30=1.0, t40=1.0), strand("b", t10=5.0, t40=5.0)]
        points, lacking = sum_samples(strands, WINDOW, 10)
        assert ([10, 40], {"b": 2}) == ([one.ts for one in points], lacking)

    def test_the_newest_moment_may_still_be_coming(self) -> None:
        """It is left out without a word; no older one is."""
        a = strand("a", t10=1.0, t20=1.0, t30=1.0)
        points, lacking = sum_samples([a, strand("b", t10=1.0)], WINDOW, 10)
        assert ([10], {"b": 1}) == ([one.ts for one in points], lacking)

    def test_a_hole_in_all_contracts_is_lacking_too(self) -> None:
        """A page that holds less than was asked for leaves the same hole everywhere."""
        same = dict.fromkeys((10, 20, 40), 1.0)
        points, lacking = sum_samples([even("a", same), even("b", same)], WINDOW, 10)
        assert [10, 20, 40] == [one.ts for one in points]
        assert {"a": 1, "b": 1} == lacking

    def test_before_its_birth_a_contract_holds_nothing(self) -> None:
        """Listed at 15: at 10 the sum is whole without it; at 20 it is not."""
        a = strand("a", t10=1.0, t20=1.0, t30=1.0)
        assert [(10, 1.0, 1.0), (30, 2.0, 2.0)] == totals(a, strand("b", 15, t30=1.0))

    def test_at_the_moment_of_its_birth_it_counts(self) -> None:
        """A contract listed at 20 that has no point at 20 makes 20 incomplete."""
        a = strand("a", t10=1.0, t20=1.0, t30=1.0)
        assert [10, 30] == [at for at, *_ in totals(a, strand("b", 20, t30=1.0))]

    def test_an_unknown_birth_is_no_excuse(self) -> None:
        """Before its first row nobody knows whether it held nothing: left out, and counted."""
        strands = [strand("a", t10=1.0, t20=1.0, t30=1.0), strand("b", None, t30=1.0)]
        points, lacking = sum_samples(strands, WINDOW, 10)
        assert ([30], {"b": 2}) == ([one.ts for one in points], lacking)

    def test_a_point_before_its_birth_is_believed(self) -> None:
        """What was measured was there, whatever the list says."""
        assert [(10, 2.0, 2.0)] == totals(strand("a", t10=1.0), strand("b", 50, t10=1.0))

    def test_one_contract_without_usd_makes_the_sum_unknown(self) -> None:
        """Coins are whole, USD is null: never the USD of the others alone."""
        assert [(10, 2.0, None)] == totals(strand("a", t10=1.0), strand("b", t10=None))

    def test_only_the_window_counts(self) -> None:
        """Half open."""
        points, _ = sum_samples([strand("a", t10=1.0, t20=1.0, t30=1.0)], Window(20, 30), 10)
        assert [20] == [one.ts for one in points]

    def test_nothing_is_nothing(self) -> None:
        """No strand, or strands without points."""
        assert ((), {}) == sum_samples([], WINDOW, 10)
        assert ((), {}) == sum_samples([strand("a"), strand("b")], WINDOW, 10)

    @pytest.mark.parametrize(("coins", "usd"), [(-1, 1), (1e21, 1), (1, -1), (1, 1e12), (-1, None)])
    def test_what_no_contract_can_hold_is_refused(self, coins: float, usd: float | None) -> None:
        """The row is unreadable then."""
        with pytest.raises(ValueError, match="open interest"):
            sample(0, coins, usd)


SECOND, DAY = 1000, 86_400_000
LONG = Window(10 * SECOND, DAY)


class TestSaid:
    """What is missing, and nothing else."""

    def said(self, *strands: Strand, window: Window = LONG) -> list[str]:
        """What is said of strands with samples every second."""
        ask = told("okx", {}, "BTC")
        tell_samples(ask, "BTC", strands, window, SECOND)
        return ask.shortfalls

    def test_where_samples_begin_and_end(self) -> None:
        """Two of them late at the beginning; ten minutes late at the end are usual."""
        early = strand("A", t10000=1.0, t11000=1.0)
        assert ["missing: open interest of BTC after 1970-01-01 00:00"] == self.said(early)
        late = dict.fromkeys(range(DAY - 605_000, DAY - 601_000, SECOND), 1.0)
        assert ["missing: open interest of BTC before 1970-01-01 23:49"] == self.said(
            even("A", late)
        )
        assert [] == self.said(early, window=Window(9 * SECOND, 60 * SECOND))

    def test_before_the_first_contract_nothing_is_missing(self) -> None:
        """Where all births are known."""
        late = dict.fromkeys(range(DAY - 605_000, DAY - 601_000, SECOND), 1.0)
        a, b = even("A", late, DAY - 605_000), even("B", late, DAY - 604_000)
        assert [] == self.said(a, b)
        assert 1 == len(self.said(a, even("B", late)))

    def test_nothing_at_all(self) -> None:
        """Said, unless the window is empty or before the contracts."""
        assert ["missing: no open interest of BTC in that time"] == self.said(strand("A"))
        assert [] == self.said(strand("A", DAY))
        assert [] == self.said(strand("A"), window=Window(5, 5))

    def test_which_contract_lacks_how_many(self) -> None:
        """A coin of which one contract is silent has no sum at all."""
        a = strand("A", t10000=1.0, t11000=1.0, t12000=1.0)
        window = Window(10 * SECOND, 14 * SECOND)
        said = ["missing: open interest of B at 2 moments, left out"]
        assert said == self.said(a, strand("B"), window=window)


A, B = (Contract(name, "BTC", 1, "USDT") for name in "AB")
PLAN = Plan(
    Window(0, 4 * SECOND),
    Cadence(SECOND, "1s", DAY),
    [Page(2 * SECOND, 4 * SECOND), Page(0, 2 * SECOND, older=True)],
)


async def summed(answers: dict[str, Any]) -> tuple[list[int], list[str]]:
    """(moments of the sums, what is said) of two contracts in two pages; answers hold moments."""
    ask = told("okx", answers, "BTC")

    def call(one: Contract, page: Page) -> Call:
        return get(f"https://x.y/{one.symbol}{page.since_ms}", label="held", optional=True)

    def read(_: Contract, wire: Wire) -> tuple[list[PastInterest], int]:
        return [PastInterest(at, 1.0, 1.0) for at in wire.doc], 1

    (row,) = await ask_samples(ask, [A, B], PLAN, {}, call, read)
    return [one.ts for one in row.points], ask.shortfalls


class TestAsking:
    """All contracts, all pages."""

    async def test_pages_are_put_together(self) -> None:
        """What lies off the grid counts as unreadable beside the bad rows."""
        moments, said = await summed({"2000": [2000, 3000], "0": [0, 1000, 1001]})
        assert [0, 1000, 2000, 3000] == moments
        assert "changed: 6 rows could not be read" in said

    async def test_a_page_that_fails_leaves_its_moments_out(self) -> None:
        """Of one contract of two."""
        failed = VenueTimeout("timeout: no answer")
        moments, said = await summed({"B0": failed, "A0": [0, 1000], "2000": [2000, 3000]})
        assert [2000, 3000] == moments
        assert "timeout: no answer (held)" in said
        assert "missing: open interest of B at 2 moments, left out" in said

    async def test_all_that_fail_are_the_venues_failure(self) -> None:
        """Never an empty past."""
        with pytest.raises(VenueTimeout):
            await summed({"x.y": VenueTimeout("timeout: no answer")})
