"""Periods of past settlements: told by spacing, never guessed, never stretched by a lost page."""

from itertools import pairwise

import pytest
from pasts import DAY, HOUR, NOW, Simulated, asking_past

from mmflow_mcp.rows.history import SettledRate
from mmflow_mcp.venues.contracts import INVERSE_FIRST, Contract
from mmflow_mcp.venues.settlements import (
    Payment,
    Span,
    Window,
    fresh_after,
    main_contract,
    periods,
    settle,
    snap,
    span_of,
    tell_past,
    windows,
)

# 2026-09-15 00:00 UTC.
MIDNIGHT = 1_789_430_400_000


def hours_at(*hours: float) -> list[float | None]:
    """Periods of settlements at these hours after midnight."""
    return periods([MIDNIGHT + round(hour * HOUR) for hour in hours])


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ((0, 8, 16, 24), [8, 8, 8, 8]),
        ((0, 4, 8, 12), [4, 4, 4, 4]),
        ((0, 1, 2, 3), [1, 1, 1, 1]),
        # A period that gets shorter: the settlement at 16 still paid for eight hours.
        ((0, 8, 16, 20, 24, 28), [8, 8, 8, 4, 4, 4]),
        # ... and one that gets longer: the one at 8 for four.
        ((0, 4, 8, 16, 24), [4, 4, 4, 8, 8]),
    ],
)
def test_the_spacing_tells_the_period(hours: tuple[float, ...], expected: list[float]) -> None:
    """Each settlement paid for the time since the one before it."""
    assert expected == hours_at(*hours)


def test_a_missing_row_is_no_longer_period() -> None:
    """Of every four hours, without that at 12: the one at 16 paid for four, not for eight."""
    assert [4] * 6 == hours_at(0, 4, 8, 16, 20, 24)
    # The hours that Kraken lacks now and then.
    assert [1] * 6 == hours_at(0, 1, 2, 4, 5, 6)


def test_a_lost_page_is_no_longer_period() -> None:
    """100 hours without a row between hourly ones, and between those of eight hours."""
    assert [1] * 6 == hours_at(0, 1, 2, 102, 103, 104)
    assert [8] * 6 == hours_at(0, 8, 16, 816, 824, 832)


def test_what_the_spacing_does_not_tell_is_unknown() -> None:
    """A period that changed in a hole, a lone settlement, two of them."""
    assert hours_at(0, 8, 16, 500, 504, 508)[3] is None
    assert [None] == hours_at(0)
    assert [None, None] == hours_at(0, 8)
    # Three hours are no multiple of the eight around them: one more settlement, or a new clock.
    assert [8, 8, 8, None, 8, 8] == hours_at(0, 8, 16, 19, 27, 35)
    # 8 or 4 with one missing: nothing before tells.
    assert [None, None, 4, 4] == hours_at(0, 8, 12, 16)


def test_the_newest_settlement_of_a_shorter_period_is_known() -> None:
    """No missing row makes a spacing shorter; a longer one may be a missing row."""
    assert [8, 8, 8, 4] == hours_at(0, 8, 16, 20)
    assert hours_at(0, 4, 8, 16)[3] is None


@pytest.mark.parametrize("jitter", [-60_000, -1, 0, 2_000, 60_000])
def test_a_settlement_within_a_minute_of_the_hour_is_at_the_hour(jitter: int) -> None:
    """Gate writes a second or two later; a cell of the store is one hour's."""
    assert snap(MIDNIGHT + jitter) == MIDNIGHT
    assert snap(MIDNIGHT + 61_000) == MIDNIGHT + 61_000


def test_jitter_does_not_change_the_period_or_the_count() -> None:
    """The same settlement from two pages, a second apart, is one."""
    told = [Payment(MIDNIGHT + n * 4 * HOUR + 1_000 * (n % 3), 0.0001 * n) for n in range(5)]
    rates, unknown = settle([*reversed(told), *told[1:3]], Span(MIDNIGHT, MIDNIGHT + DAY, NOW))
    assert [MIDNIGHT + n * 4 * HOUR for n in range(5)] == [rate.ts for rate in rates]
    assert {4} == {rate.period_hours for rate in rates}
    assert 0 == unknown


def test_since_is_inclusive_and_until_exclusive() -> None:
    """Settlements outside tell periods and are not answered."""
    told = [Payment(MIDNIGHT + n * 8 * HOUR, 0.001 * n) for n in range(5)]
    rates, _ = settle(told, Span(MIDNIGHT + 8 * HOUR, MIDNIGHT + 24 * HOUR, NOW))
    assert (
        SettledRate(MIDNIGHT + 8 * HOUR, 0.001, 8),
        SettledRate(MIDNIGHT + 16 * HOUR, 0.002, 8),
    ) == rates


def test_a_period_that_is_told_is_believed() -> None:
    """BitMEX and Deribit say it beside the rate: a hole changes nothing."""
    told = [Payment(MIDNIGHT, 0.1, 24), Payment(MIDNIGHT + 40 * HOUR, 0.2, 8)]
    rates, _ = settle(told, Span(0, NOW + 9 * DAY, NOW))
    assert [24, 8] == [rate.period_hours for rate in rates]


def test_a_settlement_without_a_period_is_left_out_and_told() -> None:
    """One lone settlement: nothing says whether it paid for one hour or eight."""
    ask = asking_past("gateio", "BTC", 0, NOW)
    one = Contract("BTC_USDT", "BTC", 1, "USDT")
    (row,) = tell_past(ask, one, [Payment(MIDNIGHT, 0.1)], (), span_of(ask))
    assert () == row.rates
    assert ["missing: the period of 1 settlement of BTC_USDT"] == ask.shortfalls


def test_pages_lie_on_a_grid_of_their_own() -> None:
    """Questions a minute apart share all pages; the newest ends with the running hour."""
    length = 10 * DAY
    pages, first = windows(Span(NOW - 25 * DAY, NOW, NOW), length, 9)
    again, _ = windows(Span(NOW - 25 * DAY + 60_000, NOW, NOW + 60_000), length, 9)
    assert pages == again
    assert first == NOW - 25 * DAY
    assert (NOW // HOUR + 1) * HOUR == pages[0].end
    assert all(page.start % length == 0 for page in pages)
    assert all(newer.start == older.end for newer, older in pairwise(pages))
    assert pages[-1].start <= NOW - 25 * DAY < pages[-1].end


def test_pages_are_bounded_and_the_cut_is_told() -> None:
    """The newest are kept; a span that is empty has none."""
    pages, first = windows(Span(0, NOW, NOW), DAY, 3)
    assert 3 == len(pages)
    assert pages[-1].start == first
    assert ([], NOW) == windows(Span(NOW, NOW, NOW), DAY, 3)


def test_the_past_stays_fresh_for_hours_and_the_present_for_a_minute() -> None:
    """An answer serves again only if it was read after the time that it is about."""
    assert 60 == fresh_after(NOW + HOUR, NOW)
    assert 60 == fresh_after(NOW - 60_000, NOW)
    assert HOUR / 1000 - 120 == fresh_after(NOW - HOUR, NOW)
    assert 6 * 3600 == fresh_after(NOW - 30 * DAY, NOW)


def test_a_question_without_a_time_is_about_the_last_day() -> None:
    """`doctor` asks so; the future is never asked for."""
    ask = asking_past("okx", "BTC", NOW - HOUR, NOW + 9 * DAY, Simulated())
    assert Span(NOW - HOUR, NOW + 1, NOW) == span_of(ask)
    ask.options = {}
    assert Span(NOW + 1 - DAY, NOW + 1, NOW) == span_of(ask)
    ask.options = {"since_ms": -5, "until_ms": 7}
    assert Span(0, 7, NOW) == span_of(ask)


def test_the_main_perpetual_is_that_of_the_running_rate() -> None:
    """CONTRACT section 3: USDT first, else by order; the smaller multiplier among equals."""
    inverse = Contract("BTC_USD", "BTC", 1, "USD", "inverse")
    usdc, usdt = Contract("BTC_USDC", "BTC", 1, "USDC"), Contract("BTC_USDT", "BTC", 1, "USDT")
    thousand = Contract("1000BTC_USDT", "BTC", 1000, "USDT")
    listed = [inverse, usdc, thousand, usdt, Contract("ETH_USDT", "ETH", 1, "USDT")]
    assert usdt == main_contract(listed, "BTC")
    assert inverse == main_contract(listed, "BTC", INVERSE_FIRST)
    assert main_contract(listed, "SOL") is None
    assert Window(1, 2) == Window(start=1, end=2)
