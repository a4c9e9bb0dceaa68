"""Settled rates and windows of the past: pure rules, in numbers worked out by hand."""

from collections.abc import Sequence

import pytest
from holdings import READ_AT, SIX_PM, told

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.rows.history import SettledRate
from mmflow_mcp.venues.settled_rates import Settled, reach, settle
from mmflow_mcp.venues.windows import (
    MINUTE_MS,
    NEW_FRESH,
    PAST_FRESH,
    Window,
    cadence_of,
    note_cut,
    pages_of,
    window_of,
)

# A midnight.
T = 1_789_344_000_000
ALWAYS = Window(0, T + 1000 * DAY_MS)


def at(*hours: float) -> list[tuple[int, float]]:
    """Settlements at these hours after T; the rate is the place in the row, in millionths."""
    return [(T + round(hour * HOUR_MS), i / 1e6) for i, hour in enumerate(hours)]


def periods(*hours: float, listed: float | None = None) -> list[float]:
    """The periods of settlements at these hours after T."""
    return [one.period_hours for one in settle(at(*hours), ALWAYS, listed).rates]


class TestPeriods:
    """The time since the settlement before, unless one is missing in between."""

    @pytest.mark.parametrize("hours", [1, 2, 4, 8])
    def test_a_steady_period_is_the_spacing(self, hours: int) -> None:
        """Also that of the first one, which takes its successor's."""
        assert [hours] * 4 == periods(0, hours, 2 * hours, 3 * hours)

    def test_a_shortened_period_is_told_point_by_point(self) -> None:
        """8, 8, 8, then every 4: what was paid at 16:00 was for 8 hours, at 20:00 for 4."""
        assert [8, 8, 8, 4, 4] == periods(0, 8, 16, 20, 24)
        assert [8, 8, 8, 1, 1] == periods(0, 8, 16, 17, 18)

    def test_a_lengthened_period_is_told_point_by_point(self) -> None:
        """Every 4, then every 8; the newest one is sure because the list agrees."""
        assert [4, 4, 4, 8, 8] == periods(0, 4, 8, 16, 24)
        assert [4, 4, 4, 8] == periods(0, 4, 8, 16, listed=8)

    def test_a_period_that_was_longer_for_a_while(self) -> None:
        """Hourly, 8 hours twice (as Bybit reverts between two rushes), hourly again."""
        assert [1, 1, 8, 8, 1, 1] == periods(0, 1, 9, 17, 18, 19)

    def test_never_eight_where_the_spacing_says_four(self) -> None:
        """The list is of today, and what was paid earlier is not its business."""
        assert [4, 4, 4] == periods(0, 4, 8, listed=8)

    @pytest.mark.parametrize(
        ("hours", "expected"),
        [
            ((0, 1, 2, 4, 5, 6), [1] * 6),  # one is missing
            ((0, 1, 2, 5, 6), [1] * 5),  # two are
            ((0, 1, 2, 4, 6, 7), [1] * 6),  # every other one is
            ((0, 1, 2, 5, 7, 8, 9), [1] * 7),  # two, then one
            ((0, 4, 8, 16, 20, 24), [4] * 6),  # one, and 8 would be a period
            ((0, 8, 16, 32, 40), [8] * 5),
            ((0, 1, 2, 502, 503), [1] * 5),  # a page is
            ((0, 8, 16, 1016, 1024), [8] * 5),
        ],
    )
    def test_a_gap_is_no_period(self, hours: tuple[int, ...], expected: list[int]) -> None:
        """What was paid after missing settlements was paid for a period, not for the gap."""
        assert expected == periods(*hours)

    @pytest.mark.parametrize("listed", [4, None, 1])
    def test_the_newest_after_a_longer_time_waits_for_the_next(self, listed: float | None) -> None:
        """4, 4, then 8 hours: a new period or a missing settlement; a list may be a day old.

        It is left out and counted; once the next one is there it is known.
        """
        settled = settle(at(0, 4, 8, 16), ALWAYS, listed)
        assert ([4, 4, 4], 1) == ([one.period_hours for one in settled.rates], settled.lost)
        assert [4, 4, 4, 8, 8] == periods(0, 4, 8, 16, 24)
        assert [4, 4, 4, 4, 4] == periods(0, 4, 8, 16, 20)

    def test_a_gap_between_two_periods_is_not_guessed(self) -> None:
        """8 before, 12 missing hours, 4 after: only the list may decide, and only for its own."""
        told_at = at(0, 8, 24, 28)
        assert Settled(settle(told_at, ALWAYS).rates, 1) == settle(told_at, ALWAYS)
        assert [8, 8, 4] == [one.period_hours for one in settle(told_at, ALWAYS).rates]
        assert [8, 8, 4, 4] == periods(0, 8, 24, 28, listed=4)
        assert [8, 8, 4] == periods(0, 8, 24, 28, listed=1)

    def test_one_alone_is_what_is_listed(self) -> None:
        """Without a list its period is not known and it is left out."""
        assert [2] == periods(0, listed=2)
        assert Settled((), 1) == settle(at(0), ALWAYS)
        assert Settled((), 1) == settle(at(0), ALWAYS, 7)

    def test_only_the_periods_of_a_venue_are_periods(self) -> None:
        """Hyperliquid pays every hour: two hours are a missing row, even at the end."""
        found = settle(at(0, 1, 2, 4), ALWAYS, 1, (1, 8)).rates
        assert [1, 1, 1, 1] == [one.period_hours for one in found]


class TestTimes:
    """Each settlement once, on its hour, ascending."""

    @pytest.mark.parametrize("off", [-60_000, -3, 0, 9, 90, 2_000, 60_000])
    def test_jitter_is_taken_off(self, off: int) -> None:
        """Up to a minute on both sides of the hour."""
        found = settle([(T, 0.1), (T + HOUR_MS + off, 0.2)], ALWAYS).rates
        assert (SettledRate(T, 0.1, 1.0), SettledRate(T + HOUR_MS, 0.2, 1.0)) == found

    def test_what_is_at_no_hour_is_left_out_and_counted(self) -> None:
        """A rate at half past is no settlement, and does not shorten the next one's period."""
        found = settle([*at(0, 8), (T + 12 * HOUR_MS + 30 * MINUTE_MS, 0.1), *at(16)], ALWAYS)
        assert ([8, 8, 8], 1) == ([one.period_hours for one in found.rates], found.lost)

    def test_order_and_pages_do_not_matter(self) -> None:
        """Newest first, in two pages that overlap: ascending, each once."""
        newest_first: Sequence[tuple[int, float]] = at(0, 8, 16, 24)[::-1]
        found = settle([*newest_first[:3], *newest_first[1:]], ALWAYS)
        assert [T + hour * HOUR_MS for hour in (0, 8, 16, 24)] == [one.ts for one in found.rates]
        assert 0 == found.lost

    def test_two_rates_of_one_settlement_are_none(self) -> None:
        """Nobody knows which one was paid; the hour still parts the periods."""
        found = settle([*at(0, 8, 16, 24), (T + 8 * HOUR_MS + 5, 0.5)], ALWAYS)
        assert [T, T + 16 * HOUR_MS, T + 24 * HOUR_MS] == [one.ts for one in found.rates]
        assert ([8, 8, 8], 1) == ([one.period_hours for one in found.rates], found.lost)

    def test_the_window_is_half_open(self) -> None:
        """`since` belongs to it, `until` does not, however late the venue stamped it."""
        rows = [(ts + 40, rate) for ts, rate in at(0, 8, 16, 24)]
        found = settle(rows, Window(T + 8 * HOUR_MS, T + 24 * HOUR_MS))
        assert [T + 8 * HOUR_MS, T + 16 * HOUR_MS] == [one.ts for one in found.rates]
        assert [8, 8] == [one.period_hours for one in found.rates]

    def test_nothing_is_nothing(self) -> None:
        """No settlement, no rate, nothing lost."""
        assert Settled((), 0) == settle([], ALWAYS, 8)


class TestWindows:
    """What is asked for, in how many pages, and how long an answer serves."""

    def test_without_words_it_is_the_last_day(self) -> None:
        """As `doctor` asks; the future is cut off."""
        assert Window(READ_AT - DAY_MS, READ_AT) == window_of(told("binance", {}, "BTC"))
        ask = told("binance", {}, "BTC", since_ms=READ_AT - 5, until_ms=READ_AT + DAY_MS)
        assert Window(READ_AT - 5, READ_AT) == window_of(ask)

    def test_neighbours_are_asked_for_too(self) -> None:
        """Two settlements of 8 hours on both sides; the running hour at the latest."""
        now = T + 100 * HOUR_MS + 5
        inside = reach(Window(T + 50 * HOUR_MS + 7, T + 60 * HOUR_MS), now)
        assert Window(T + 34 * HOUR_MS, T + 76 * HOUR_MS) == inside
        assert Window(T + 34 * HOUR_MS, T + 101 * HOUR_MS) == reach(
            Window(T + 50 * HOUR_MS, now), now
        )

    def test_an_empty_window_asks_for_nothing(self) -> None:
        """Since the future, or until before since."""
        assert [] == pages_of(reach(Window(T + 5, T), T), HOUR_MS, 5, T)
        assert [] == pages_of(reach(Window(T, T), T), HOUR_MS, 5, T)

    def test_a_week_by_the_hour_is_one_page_of_two_hundred(self) -> None:
        """168 rows and their neighbours."""
        assert 1 == len(pages_of(reach(Window(T - 7 * DAY_MS, T), T), 200 * HOUR_MS, 5, T))

    def test_pages_join_and_the_newest_ages_soonest(self) -> None:
        """Half-open pages without a hole; what ended an hour ago serves for hours."""
        now = T + 5 * HOUR_MS
        pages = pages_of(Window(T, now), 2 * HOUR_MS, 9, now)
        spans = [(page.since_ms - T, page.until_ms - T) for page in pages]
        hour = HOUR_MS
        assert [(0, 2 * hour), (2 * hour, 4 * hour), (4 * hour, 5 * hour)] == spans
        assert [PAST_FRESH, PAST_FRESH, NEW_FRESH] == [page.fresh for page in pages]

    def test_a_minute_later_the_addresses_are_the_same(self) -> None:
        """Whole hours are asked for, so that equal questions share an answer."""
        now = T + 90 * MINUTE_MS
        first, later = (
            reach(Window(moment - 7 * DAY_MS, moment), moment) for moment in (now, now + MINUTE_MS)
        )
        assert first == later

    def test_too_many_pages_keep_the_newest_and_say_so(self) -> None:
        """From when on is answered."""
        ask = told("binance", {}, "BTC")
        window = Window(T, T + 10 * HOUR_MS)
        pages = pages_of(window, HOUR_MS, 4, T + 10 * HOUR_MS)
        assert [T + hour * HOUR_MS for hour in (6, 7, 8, 9)] == [p.since_ms for p in pages]
        note_cut(ask, window, pages, "rates")
        assert ["missing: rates before 2026-09-14 06:00, one answer goes no further"] == (
            ask.shortfalls
        )

    def test_what_is_whole_is_not_said_to_be_cut(self) -> None:
        """Pages that begin with the window, and none at all."""
        ask = told("binance", {}, "BTC")
        window = Window(T, T + 4 * HOUR_MS)
        note_cut(ask, window, pages_of(window, HOUR_MS, 4, T), "rates")
        note_cut(ask, window, [], "rates")
        assert [] == ask.shortfalls

    @pytest.mark.parametrize(
        ("days", "minutes"), [(1, 5), (2, 5), (3, 5), (7, 15), (10, 15), (20, 30), (30, 60)]
    )
    def test_the_finest_cadence_that_fits(self, days: int, minutes: int) -> None:
        """Two pages of 500: 5 minutes up to three days, 15 for a week, an hour for a month."""
        cadences = [n * MINUTE_MS for n in (5, 15, 30, 60)]
        window = Window(SIX_PM - days * DAY_MS, SIX_PM)
        assert minutes * MINUTE_MS == cadence_of(window, cadences, 500, 2)

    def test_the_coarsest_serves_what_is_longer(self) -> None:
        """It is cut then."""
        assert HOUR_MS == cadence_of(Window(0, 1000 * DAY_MS), [MINUTE_MS, HOUR_MS], 500, 2)

    def test_the_grid_holds_the_moments_of_a_window_and_no_other(self) -> None:
        """18:00:01 to 18:20 exclusive: 18:05, 18:10, 18:15."""
        grid = Window(SIX_PM + 1000, SIX_PM + 20 * MINUTE_MS).snapped(5 * MINUTE_MS)
        assert Window(SIX_PM + 5 * MINUTE_MS, SIX_PM + 20 * MINUTE_MS) == grid
