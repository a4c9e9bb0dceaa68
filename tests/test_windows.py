"""Windows of the past: what is asked for, how finely, in which pages, and how long they serve."""

from itertools import pairwise

import pytest
from holdings import told
from pasts import READ_AT, SIX_PM

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.venues import binance_past, bybit_past, gateio_past, kraken_past, okx_past
from mmflow_mcp.venues.windows import (
    MINUTE_MS,
    NEW_FRESH,
    PAST_FRESH,
    Cadence,
    Page,
    Window,
    cadences_of,
    choose_cadence,
    coin_of,
    fresh_after,
    kept_part,
    note_cut,
    page_call,
    pages_of,
    window_of,
)

# A midnight.
T = 1_789_344_000_000


def test_without_words_it_is_the_last_day_of_bitcoin() -> None:
    """As `doctor` asks; the future is cut off, and the time before 1970."""
    ask = told("binance", {})
    assert (Window(READ_AT - DAY_MS, READ_AT), "BTC") == (window_of(ask), coin_of(ask))
    ask = told("binance", {}, "ETH", since_ms=READ_AT - 5, until_ms=READ_AT + DAY_MS)
    assert (Window(READ_AT - 5, READ_AT), "ETH") == (window_of(ask), coin_of(ask))
    assert Window(0, 7) == window_of(told("binance", {}, since_ms=-5, until_ms=7))


def test_the_grid_holds_the_moments_of_a_window_and_no_other() -> None:
    """18:00:01 to 18:20 exclusive: 18:05, 18:10, 18:15."""
    grid = Window(SIX_PM + 1000, SIX_PM + 20 * MINUTE_MS).snapped(5 * MINUTE_MS)
    assert Window(SIX_PM + 5 * MINUTE_MS, SIX_PM + 20 * MINUTE_MS) == grid
    assert [False, True, False] == [at in Window(5, 7) for at in (4, 5, 7)]


class TestPages:
    """Half-open shares, newest first."""

    def test_pages_join_and_the_newest_ages_soonest(self) -> None:
        """Without a hole; all but the newest support an answer without telling its age."""
        now = T + 5 * HOUR_MS
        pages = pages_of(Window(T, now), 2 * HOUR_MS, 9, now)
        spans = [((page.since_ms - T) // HOUR_MS, (page.until_ms - T) // HOUR_MS) for page in pages]
        assert [(4, 5), (2, 4), (0, 2)] == spans
        assert [(NEW_FRESH, False), (3000, True), (10200, True)] == [page[2:] for page in pages]

    def test_an_empty_window_has_none(self) -> None:
        """Nothing, or until before since."""
        assert [] == pages_of(Window(T, T), HOUR_MS, 5, T)
        assert [] == pages_of(Window(T + 5, T), HOUR_MS, 5, T)

    def test_too_many_pages_keep_the_newest_and_say_so(self) -> None:
        """From when on is answered."""
        ask, window = told("binance", {}, "BTC"), Window(T, T + 10 * HOUR_MS)
        pages = pages_of(window, HOUR_MS, 4, T + 10 * HOUR_MS)
        assert [T + hour * HOUR_MS for hour in (9, 8, 7, 6)] == [p.since_ms for p in pages]
        note_cut(ask, window, pages, "rates")
        said = "missing: rates before 2026-09-14 06:00, one answer goes no further"
        assert [said] == ask.shortfalls

    def test_what_is_whole_is_not_said_to_be_cut(self) -> None:
        """Pages that begin with the window, and none at all."""
        ask, window = told("binance", {}, "BTC"), Window(T, T + 4 * HOUR_MS)
        note_cut(ask, window, pages_of(window, HOUR_MS, 4, T), "rates")
        note_cut(ask, window, [], "rates")
        assert [] == ask.shortfalls

    def test_a_copy_serves_long_only_when_it_was_read_after_the_end(self) -> None:
        """An age that serves is less than the time since the end, but for a margin."""
        assert NEW_FRESH == fresh_after(T + HOUR_MS, T)
        assert NEW_FRESH == fresh_after(T - 660_000, T)
        assert 3600 - 600 == fresh_after(T - HOUR_MS, T)
        assert PAST_FRESH == fresh_after(T - 30 * DAY_MS, T)

    def test_the_request_of_a_page(self) -> None:
        """Optional, never from an old copy; an older page tells no age."""
        newest = page_call("https://x.y/z", {"a": 1}, Page(0, 1, 77), weight=3)
        assert ("https://x.y/z?a=1", 77, 3, "z") == (
            newest.url,
            newest.fresh,
            newest.weight,
            newest.label,
        )
        older = page_call("https://x.y/z", {}, Page(0, 1, 77, older=True))
        assert [(True, False, 0.0), (True, True, 0.0)] == [
            (call.optional, call.reference, call.keep) for call in (newest, older)
        ]


class TestCadences:
    """As fine as the pages allow and as the venue keeps, else coarser."""

    @pytest.mark.parametrize(
        ("venue", "expected"),
        [
            (binance_past, ("5m", "5m", "15m", "1h")),
            (bybit_past, ("5min", "5min", "15min", "1h")),
            (okx_past, ("5m", "5m", "1H", "1Dutc")),
            (gateio_past, ("5m", "5m", "15m", "1h")),
            (kraken_past, ("5m", "5m", "15m", "1h")),
        ],
    )
    def test_the_cadence_follows_the_window(self, venue: object, expected: tuple[str]) -> None:
        """Of an hour, a day, a week and a month."""
        cadences = venue.CADENCES  # type: ignore[attr-defined]
        lengths = (HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
        found = [choose_cadence(Window(T - length, T), cadences, T).name for length in lengths]
        assert expected == tuple(found)

    @pytest.mark.parametrize(
        ("hours", "expected"), [(26, "5m"), (27, "15m"), (72, "15m"), (73, "1H"), (193, "1Dutc")]
    )
    def test_what_is_longer_than_the_reach_is_answered_coarser(
        self, hours: int, expected: str
    ) -> None:
        """OKX keeps samples of five minutes for three days and lets few pages be asked."""
        assert expected == choose_cadence(Window(T - hours * HOUR_MS, T), okx_past.CADENCES, T).name

    def test_what_is_no_longer_kept_is_answered_coarser(self) -> None:
        """Six hours of last month."""
        window = Window(T - 30 * DAY_MS, T - 30 * DAY_MS + 6 * HOUR_MS)
        assert "1Dutc" == choose_cadence(window, okx_past.CADENCES, T).name
        assert "5m" == choose_cadence(window, gateio_past.CADENCES, T).name

    def test_the_coarsest_serves_what_is_longer_than_all(self) -> None:
        """It is cut then."""
        cadences = cadences_of({MINUTE_MS: "1m", HOUR_MS: "1h"}, 500, 2)
        assert Cadence(HOUR_MS, "1h", 1000 * HOUR_MS) == choose_cadence(
            Window(0, 1000 * DAY_MS), cadences, 1000 * DAY_MS
        )

    def test_a_chosen_cadence_brings_the_window_in_its_pages(self) -> None:
        """However the window lies to the grid: no page too many, none too long."""
        for venue, rows, most in (
            (binance_past, binance_past.ROWS, binance_past.PAGES),
            (okx_past, okx_past.ROWS, okx_past.PAGES),
            (gateio_past, gateio_past.ROWS, gateio_past.PAGES),
        ):
            for n in range(1, 120):
                window = Window(T - n * 5 * HOUR_MS + n * 1_234_567, T + n * 7_654)
                one = choose_cadence(window, venue.CADENCES, window.until_ms)
                grid = window.snapped(one.ms)
                pages = pages_of(grid, rows * one.ms, 99, T)
                assert len(pages) <= most
                assert grid == Window(pages[-1].since_ms, pages[0].until_ms)
                assert all(a.since_ms == b.until_ms for a, b in pairwise(pages))
                assert all(p.until_ms - p.since_ms <= rows * one.ms for p in pages)

    def test_a_question_that_took_a_moment_asks_for_no_more_than_is_kept(self) -> None:
        """30 and 3 days ago are some seconds longer ago by the time that a venue is asked."""
        ask = told("binance", {}, "BTC")
        late = Window(READ_AT - 30 * DAY_MS - 5_000, READ_AT)
        assert Window(READ_AT - 30 * DAY_MS, READ_AT) == kept_part(ask, late, 30 * DAY_MS, "rates")
        assert [] == ask.shortfalls
        three = Window(T - 3 * DAY_MS, T)
        assert "15m" == choose_cadence(three, okx_past.CADENCES, T + 5_000).name

    def test_what_the_venue_has_no_more_is_said(self) -> None:
        """And cut off; a window that is kept says nothing."""
        ask = told("binance", {}, "BTC")
        whole = Window(READ_AT - DAY_MS, READ_AT)
        assert whole == kept_part(ask, whole, 30 * DAY_MS, "rates")
        assert [] == ask.shortfalls
        cut = kept_part(ask, Window(READ_AT - 31 * DAY_MS, READ_AT), 30 * DAY_MS, "rates")
        gone = kept_part(ask, Window(5, 9), 30 * DAY_MS, "rates")
        oldest = READ_AT - 30 * DAY_MS
        assert (Window(oldest, READ_AT), Window(oldest, oldest)) == (cut, gone)
        assert ["missing: rates before 2026-08-15 18:59, the venue keeps 30 days"] == ask.shortfalls
