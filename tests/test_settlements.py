"""Settlements: each once, on its hour, with a period that is told by spacing and never guessed."""

from collections.abc import Sequence

import pytest
from holdings import READ_AT, told

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.errors import VenueTimeout
from mmflow_mcp.rows.history import SettledRate
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.settlements import (
    Listed,
    Payment,
    Series,
    Settled,
    ask_settled,
    reach,
    settle,
    tell_past,
)
from mmflow_mcp.venues.windows import MINUTE_MS, Page, Window, pages_of, window_of

pytestmark = pytest.mark.anyio
# A midnight.
T = 1_789_344_000_000
ALWAYS = Window(0, T + 1000 * DAY_MS)
BTC = Contract("BTCUSDT", "BTC", 1, "USDT")


def at(*hours: float) -> list[Payment]:
    """Settlements at these hours after T; the rate is the place in the row, in millionths."""
    return [Payment(T + round(hour * HOUR_MS), i / 1e6) for i, hour in enumerate(hours)]


def periods(*hours: float, listed: float | None = None) -> list[float | None]:
    """The periods of settlements at these hours after T, None for what is left out."""
    settled = settle(at(*hours), ALWAYS, Listed(listed))
    known = {one.ts: one.period_hours for one in settled.rates}
    found = [known.get(payment.ts) for payment in at(*hours)]
    assert found.count(None) == settled.lost
    return found


class TestPeriods:
    """The time since the settlement before, where a neighbour or the venue's list confirms it."""

    @pytest.mark.parametrize("hours", [1, 2, 4, 6, 8])
    def test_a_steady_period_is_the_spacing(self, hours: int) -> None:
        """Also that of the first one, which takes its successor's."""
        assert [hours] * 4 == periods(0, hours, 2 * hours, 3 * hours)

    @pytest.mark.parametrize(
        ("hours", "expected"),
        [
            ((0, 8, 16, 20, 24), [8, 8, 8, 4, 4]),
            ((0, 8, 16, 17, 18), [8, 8, 8, 1, 1]),
            ((0, 4, 8, 16, 24), [4, 4, 4, 8, 8]),
            # As Bybit reverts between two rushes.
            ((0, 1, 9, 17, 18, 19), [None, 1, 8, 8, 1, 1]),
        ],
    )
    def test_a_changed_period_is_told_point_by_point(
        self, hours: tuple[int, ...], expected: list[float | None]
    ) -> None:
        """What was paid at 16:00 was for 8 hours, at 20:00 for 4."""
        assert expected == periods(*hours)

    def test_never_eight_where_the_spacing_says_four(self) -> None:
        """The list is of today, and what was paid earlier is not its business."""
        assert [4, 4, 4] == periods(0, 4, 8, listed=8)

    @pytest.mark.parametrize(
        ("hours", "expected"),
        [
            ((0, 1, 2, 4, 5, 6), [1] * 6),  # one is missing
            ((0, 1, 2, 5, 6), [1] * 5),  # two are
            ((0, 4, 8, 16, 20, 24), [4] * 6),  # one, and 8 would be a period
            ((0, 8, 16, 32, 40), [8] * 5),
            ((0, 1, 2, 502, 503), [1] * 5),  # a page is
            ((0, 8, 16, 1016, 1024), [8] * 5),
        ],
    )
    def test_a_gap_between_equals_is_no_period(
        self, hours: tuple[int, ...], expected: list[float]
    ) -> None:
        """What was paid after missing settlements was paid for a period, not for the gap."""
        assert expected == periods(*hours)

    @pytest.mark.parametrize(
        ("hours", "expected"),
        [
            # Every other one is missing, or a period of two hours for a while.
            ((0, 1, 2, 4, 6, 7), [1, 1, 1, None, None, 1]),
            ((0, 4, 8, 16, 24, 32, 36, 40), [4, 4, 4, None, None, None, 4, 4]),
            # A gap beside a gap.
            ((0, 1, 2, 5, 7, 8, 9), [1, 1, 1, None, None, 1, 1]),
            # A period that changed in a hole: 24 was for eight hours or for four.
            ((0, 8, 24, 28), [None, None, None, None]),
            ((0, 8, 24, 28, 32), [None, None, None, 4, 4]),
            ((0, 8, 16, 32, 36, 40), [8, 8, 8, None, 4, 4]),
            # Three hours are no multiple of eight.
            ((0, 8, 16, 19, 27, 35), [8, 8, 8, None, 8, 8]),
            # Four are no missing row, but what was paid for is not known.
            ((0, 8, 16, 20, 28, 36), [8, 8, 8, None, 8, 8]),
            # Eight, or four with one missing: nothing before tells.
            ((0, 8, 12, 16), [None, None, 4, 4]),
            ((0,), [None]),
            ((0, 8), [None, None]),
        ],
    )
    def test_what_the_spacings_do_not_tell_is_left_out(
        self, hours: tuple[int, ...], expected: list[float | None]
    ) -> None:
        """Never the likelier of two."""
        assert expected == periods(*hours)

    @pytest.mark.parametrize("listed", [4, None, 1])
    def test_the_newest_after_a_longer_time_waits_for_the_next(self, listed: float | None) -> None:
        """4, 4, then 8 hours: a new period or a missing settlement; a list may be a day old."""
        assert [4, 4, 4, None] == periods(0, 4, 8, 16, listed=listed)
        assert [4, 4, 4, 8, 8] == periods(0, 4, 8, 16, 24)
        assert [4, 4, 4, 4, 4] == periods(0, 4, 8, 16, 20)

    def test_the_list_confirms_the_newest(self) -> None:
        """Eight hours, and eight are listed; twelve after fours, and four are listed."""
        assert [4, 4, 4, 8] == periods(0, 4, 8, 16, listed=8)
        assert [4, 4, 4, 4] == periods(0, 4, 8, 20, listed=4)
        assert [4, 4, 4, None] == periods(0, 4, 8, 20, listed=8)
        # It is of today: of what was paid before others it tells nothing.
        assert [None, None, 4, 4] == periods(0, 8, 12, 16, listed=8)

    def test_the_newest_after_a_shorter_time_is_known(self) -> None:
        """No missing row makes a spacing shorter."""
        assert [8, 8, 8, 4] == periods(0, 8, 16, 20)

    def test_few_alone_are_what_is_listed(self) -> None:
        """Where it is a period at all and what is there does not contradict it."""
        assert [2] == periods(0, listed=2)
        assert [8, 8] == periods(0, 8, listed=8)
        assert [None, None] == periods(0, 8, listed=4)
        assert [None] == periods(0, listed=7)

    def test_only_the_periods_of_a_venue_are_periods(self) -> None:
        """Hyperliquid pays every hour: two hours are a missing row, even at the end."""
        found = settle(at(0, 1, 2, 4), ALWAYS, Listed(1, periods=(1, 8))).rates
        assert [1, 1, 1, 1] == [one.period_hours for one in found]

    def test_a_period_that_is_told_is_believed(self) -> None:
        """BitMEX and Deribit say it beside the rate: a hole changes nothing."""
        paid = [Payment(T, 0.1, 24), Payment(T + 40 * HOUR_MS, 0.2, 8)]
        assert [24, 8] == [one.period_hours for one in settle(paid, ALWAYS).rates]


class TestTimes:
    """Each settlement once, on its hour, ascending."""

    @pytest.mark.parametrize("off", [-60_000, -3, 0, 9, 2_000, 60_000])
    def test_jitter_is_taken_off(self, off: int) -> None:
        """Up to a minute on both sides of the hour."""
        paid = [Payment(T, 0.1), Payment(T + HOUR_MS + off, 0.2)]
        found = settle(paid, ALWAYS, Listed(1)).rates
        assert (SettledRate(T, 0.1, 1.0), SettledRate(T + HOUR_MS, 0.2, 1.0)) == found

    def test_what_is_at_no_hour_is_left_out_and_counted(self) -> None:
        """A rate at half past is no settlement, and does not shorten the next one's period."""
        odd = Payment(T + 12 * HOUR_MS + 61_000, 0.1)
        found = settle([*at(0, 8), odd, *at(16, 24)], ALWAYS)
        assert ([8, 8, 8], 1) == ([one.period_hours for one in found.rates][:3], found.lost)

    def test_order_and_pages_do_not_matter(self) -> None:
        """Newest first, in two pages that overlap, a second apart: ascending, each once."""
        newest_first: Sequence[Payment] = at(0, 8, 16, 24)[::-1]
        late = [one._replace(ts=one.ts + 1000) for one in newest_first[1:]]
        found = settle([*newest_first[:3], *late], ALWAYS)
        assert [T + hour * HOUR_MS for hour in (0, 8, 16, 24)] == [one.ts for one in found.rates]
        assert 0 == found.lost

    def test_two_rates_of_one_hour_are_none(self) -> None:
        """Nobody knows which one was paid; the hour still parts the periods."""
        found = settle([*at(0, 8, 16, 24), Payment(T + 8 * HOUR_MS + 5, 0.5)], ALWAYS)
        assert [T, T + 16 * HOUR_MS, T + 24 * HOUR_MS] == [one.ts for one in found.rates]
        assert ([8, 8, 8], 1) == ([one.period_hours for one in found.rates], found.lost)

    def test_the_window_is_half_open(self) -> None:
        """`since` belongs to it, `until` does not, however late the venue stamped it."""
        paid = [one._replace(ts=one.ts + 40) for one in at(0, 8, 16, 24)]
        found = settle(paid, Window(T + 8 * HOUR_MS, T + 24 * HOUR_MS))
        assert [T + 8 * HOUR_MS, T + 16 * HOUR_MS] == [one.ts for one in found.rates]
        assert [8, 8] == [one.period_hours for one in found.rates]

    def test_nothing_is_nothing(self) -> None:
        """No settlement, no rate, nothing lost."""
        assert Settled((), 0) == settle([], ALWAYS, Listed(8))


class TestReach:
    """What is asked for, so that the edges of a window have neighbours."""

    def test_neighbours_are_asked_for_too(self) -> None:
        """Two settlements of 8 hours on both sides; the running hour at the latest."""
        now = T + 100 * HOUR_MS + 5
        inside = reach(Window(T + 50 * HOUR_MS + 7, T + 60 * HOUR_MS), now)
        assert Window(T + 34 * HOUR_MS, T + 76 * HOUR_MS) == inside
        newest = reach(Window(T + 50 * HOUR_MS, now), now)
        assert Window(T + 34 * HOUR_MS, T + 101 * HOUR_MS) == newest

    def test_an_empty_window_asks_for_nothing(self) -> None:
        """Since the future, or until before since."""
        for window in (Window(T + 5, T), Window(T, T)):
            assert [] == pages_of(reach(window, T), HOUR_MS, 5, T)

    def test_a_week_by_the_hour_is_one_page_of_two_hundred(self) -> None:
        """168 rows and their neighbours."""
        assert 1 == len(pages_of(reach(Window(T - 7 * DAY_MS, T), T), 200 * HOUR_MS, 5, T))

    def test_a_minute_later_the_addresses_are_the_same(self) -> None:
        """Whole hours are asked for, so that equal questions share an answer."""
        now = T + 90 * MINUTE_MS
        first, later = (
            reach(Window(moment - 7 * DAY_MS, moment), moment) for moment in (now, now + MINUTE_MS)
        )
        assert first == later


class TestSaid:
    """What is left out, and where a venue's rates begin."""

    @pytest.mark.parametrize(
        ("born", "said"),
        [
            (None, []),
            (READ_AT - 3 * DAY_MS, []),
            (0, ["missing: settled rates of BTCUSDT before 2026-09-12 00:00"]),
        ],
    )
    def test_where_rates_begin(self, born: int | None, said: list[str]) -> None:
        """Only where it is known that there must be older ones."""
        ask = told("okx", {}, "BTC", since_ms=READ_AT - 9 * DAY_MS)
        paid = at(*range(-48, 20, 8))
        (row,) = tell_past(ask, BTC, paid, window_of(ask), Listed(born_ms=born))
        assert (9, said) == (len(row.rates), ask.shortfalls)

    def test_what_has_no_period_is_counted(self) -> None:
        """One lone settlement: nothing says whether it paid for one hour or eight."""
        ask = told("okx", {}, "BTC", since_ms=T - DAY_MS)
        (row,) = tell_past(ask, BTC, at(0), window_of(ask))
        assert () == row.rates
        assert ["missing: 1 rate of BTCUSDT without a known hour or period"] == ask.shortfalls


def chained(limit: int, *, kept: int = 9_999, fails_before: int = 0) -> tuple[Ask, Series]:
    """A question of 100 hours about a venue with hourly rates and so many rows a page."""

    def answer(url: str) -> object:
        before = int(url.rsplit("=", 1)[1])
        if before < fails_before:
            return VenueTimeout("timeout: no answer")
        newest = (min(before, READ_AT) - 1) // HOUR_MS
        oldest = max(newest - limit, READ_AT // HOUR_MS - kept)
        return [hour * HOUR_MS for hour in range(newest, oldest, -1)]

    def call(symbol: str, page: Page) -> Call:
        return get(f"https://x.y/{symbol}", {"before": page.until_ms}, reference=page.older)

    def read(wire: Wire, _: str) -> tuple[list[Payment], int]:
        return [Payment(ts, ts / 1e15) for ts in wire.doc], 0

    ask = told("okx", {"x.y": answer}, "BTC", since_ms=READ_AT - 100 * HOUR_MS)
    return ask, Series(4, call, read)


class TestTurningOver:
    """Pages from the newest back."""

    @pytest.mark.parametrize(("limit", "pages"), [(200, 1), (107, 2), (60, 2), (37, 3)])
    async def test_as_many_pages_as_there_are_rows(self, limit: int, pages: int) -> None:
        """116 hours with the neighbours."""
        ask, series = chained(limit)
        (row,) = await ask_settled(ask, BTC, series)
        assert (100, {1.0}) == (len(row.rates), {one.period_hours for one in row.rates})
        assert pages == len(ask._upstream.asked)  # type: ignore[attr-defined]
        assert [] == ask.shortfalls

    async def test_what_took_too_many_pages_is_said(self) -> None:
        """Four pages of twenty."""
        ask, series = chained(20)
        (row,) = await ask_settled(ask, BTC, series)
        assert 80 == len(row.rates)
        said = "missing: settled rates of BTCUSDT before 2026-09-11 11:00"
        assert [f"{said}, one answer goes no further"] == ask.shortfalls

    async def test_the_end_of_what_is_kept_ends_the_asking(self) -> None:
        """A page without rows is the last; that there must be more is said."""
        ask, series = chained(40, kept=50)
        (row,) = await ask_settled(ask, BTC, series, Listed(born_ms=0))
        assert 3 == len(ask._upstream.asked)  # type: ignore[attr-defined]
        assert 50 == len(row.rates)
        assert ["missing: settled rates of BTCUSDT before 2026-09-12 17:00"] == ask.shortfalls

    async def test_a_page_that_fails_leaves_what_was_had(self) -> None:
        """It is told; a first one that fails is the venue's failure."""
        ask, series = chained(40, fails_before=READ_AT - 50 * HOUR_MS)
        (row,) = await ask_settled(ask, BTC, series)
        assert 80 == len(row.rates)
        assert ["timeout: no answer (BTCUSDT)"] == ask.shortfalls
        ask, series = chained(40, fails_before=READ_AT + DAY_MS)
        with pytest.raises(VenueTimeout):
            await ask_settled(ask, BTC, series)
