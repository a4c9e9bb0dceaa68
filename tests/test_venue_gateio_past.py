"""Gate's past: seconds with jitter, periods by spacing, and open interest of one side."""

from typing import Any

import pytest
from pasts import DAY, HOUR, Sampled, asking_past, requests_of
from wires import sample

from mmflow_mcp.errors import VenueChanged, VenueHttp, VenueTimeout
from mmflow_mcp.rows.history import PastInterest, SettledRate
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.gateio import Gateio
from mmflow_mcp.venues.gateio_past import (
    CADENCES,
    RATE_HOURS,
    count_sides,
    fundings,
    parse_fundings,
    parse_stats,
    read_birth,
)
from mmflow_mcp.venues.windows import Page

pytestmark = pytest.mark.anyio

VENUE = Gateio()
AT = 1_789_412_345_678
# 2026-09-14 18:00 UTC.
SIX = 1_789_408_800_000
FOUR = SIX - 2 * HOUR
FINE = CADENCES[0]
LINEAR = Contract("BTC_USDT", "BTC", 1, "USDT", "linear", 0.0001)
INVERSE = Contract("BTC_USD", "BTC", 1, "USD", "inverse")


def asking(coin: str, since: int, until: int = AT, /, **told: Any) -> Ask:
    """A question over the samples, with changes."""
    return asking_past("gateio", coin, since, until, Sampled("gateio", "gateio-past", told=told))


def told(doc: Any) -> Wire:
    """An answer by hand."""
    return Wire(doc, fetched_at=AT, read=0.0, size=1)


def point(contracts: Any, mark: Any = 80_000, **more: Any) -> dict[str, Any]:
    """A point of contract_stats at 18:00."""
    return {"time": SIX // 1000, "open_interest": contracts, "mark_price": mark, **more}


def value(found: list[PastInterest]) -> tuple[float, float | None]:
    """Coins and dollars of the one point."""
    (one,) = found
    return one.coins, one.usd


async def test_settlements_are_at_the_hour_whatever_second_is_told() -> None:
    """Seconds, one or two after the hour; every eight hours by the spacing."""
    ask = asking("BTC", FOUR - 24 * HOUR)
    (row,) = await VENUE.funding_history(ask)
    assert ("BTC", "gateio", "BTC_USDT") == (row.coin, row.venue, row.symbol)
    assert (
        SettledRate(FOUR - 24 * HOUR, 0.00004, 8),
        SettledRate(FOUR - 16 * HOUR, 0.00003, 8),
        SettledRate(FOUR - 8 * HOUR, -0.00002, 8),
        SettledRate(FOUR, 0.00001, 8),
    ) == row.rates
    assert [] == ask.shortfalls


async def test_the_period_of_a_contract_changes() -> None:
    """SOL paid every four hours and now every two, as its list of contracts says today."""
    (row,) = await VENUE.funding_history(asking("SOL", SIX - 12 * HOUR))
    assert [4, 4, 4, 2, 2] == [rate.period_hours for rate in row.rates]


async def test_the_window_is_in_seconds_and_shared() -> None:
    """Whole hours with two periods of eight on both sides, up to the present."""
    urls = []
    for since in (FOUR, FOUR + 60_000):
        ask = asking("BTC", since)
        await VENUE.funding_history(ask)
        urls += [url for url in requests_of(ask) if "funding_rate" in url]
    assert urls[0] == urls[1]
    start, end = (FOUR - 16 * HOUR) // 1000, (SIX + HOUR) // 1000
    assert f"from={start}&to={end}&limit=1000" in urls[0]


async def test_a_long_question_is_cut_and_told() -> None:
    """Nine windows of 40 days."""
    ask = asking("BTC", 0, AT, **{"funding_rate?": []})
    (row,) = await VENUE.funding_history(ask)
    assert () == row.rates
    assert 9 == sum("funding_rate" in url for url in requests_of(ask))
    said = "missing: settled rates of BTC_USDT before 2025-09-29 00:00, one answer goes no further"
    assert [said] == ask.shortfalls


def test_points_of_a_linear_contract_are_halved_contracts() -> None:
    """640,887,002 contracts of 0.0001 coins are 320,443,501 of one side."""
    found, bad = parse_stats(told([point(640_887_002, "77748.1")]), LINEAR, FINE.ms, 2)
    assert 0 == bad
    assert pytest.approx((32_044.3501, 32_044.3501 * 77_748.1)) == value(found)
    whole, _ = parse_stats(told([point("100", None)]), LINEAR, FINE.ms, 1)
    assert [PastInterest(SIX, 0.01, None)] == whole


def test_points_of_an_inverse_contract_are_dollars() -> None:
    """Its `open_interest_usd` is no dollars; without a mark there are no coins."""
    rows = [point(18_467_268, 77_750, open_interest_usd=587_456_789.12)]
    found, _ = parse_stats(told(rows), INVERSE, FINE.ms, 2)
    assert pytest.approx((9_233_634 / 77_750, 9_233_634)) == value(found)
    with pytest.raises(VenueChanged):
        parse_stats(told([point(10, 0)]), INVERSE, FINE.ms, 2)


def test_an_odd_number_of_whole_contracts_is_not_both_sides() -> None:
    """Twice anything whole is even: such a point is left out, not halved."""
    rows = [point(10), point(12), point("10.5"), {**point(11), "time": SIX // 1000 + 300}]
    found, bad = parse_stats(told(rows), LINEAR, FINE.ms, 2)
    assert ([5, 6, 5.25], 1) == ([round(one.coins / LINEAR.size, 9) for one in found], bad)
    assert 1 == len(parse_stats(told([point(11)]), LINEAR, FINE.ms, 1)[0])


@pytest.mark.parametrize(
    ("stats", "once", "sides"),
    [(200, 100, 2), (240, 100, 2), (170, 100, 2), (100, 100, 1), ("9.5", "10", 1), (0, 0, 1)],
)
def test_sides_are_measured(stats: Any, once: Any, sides: int) -> None:
    """The newest point beside the contract's own count of one side."""
    assert sides == count_sides(told([point(stats)]), told({"position_size": once}), "X")


@pytest.mark.parametrize(
    ("stats", "once"), [([point(145)], 100), ([point(400)], 100), ([point(5)], 0), ([], 100)]
)
def test_sides_that_cannot_be_told_are_no_sum(stats: Any, once: Any) -> None:
    """Neither once nor twice: nothing is answered rather than something wrong."""
    with pytest.raises(VenueChanged):
        count_sides(told(stats), told({"position_size": once}), "BTC_USDT")


async def test_open_interest_is_all_contracts_one_sided() -> None:
    """USDT, USD1 and the inverse one; a moment that one of them lacks is left out and told."""
    ask = asking("BTC", SIX)
    (row,) = await VENUE.open_interest_history(ask)
    assert ("BTC_USD", "BTC_USD1", "BTC_USDT") == row.symbols
    coins = 32_044.3501 + 9_233_634 / 77_750 + 100
    usd = 32_044.3501 * 77_748.1 + 9_233_634 + 100 * 77_760
    first = row.points[0]
    assert pytest.approx((SIX, coins, usd)) == (first.ts, first.coins, first.usd)
    # 18:35 is odd and 18:55 still forming; at 18:15 the linear one has no mark, so no dollars.
    assert [n for n in range(11) if n != 7] == [(p.ts - SIX) // 300_000 for p in row.points]
    assert PastInterest(SIX + 900_000, row.points[3].coins, None) == row.points[3]
    assert [
        "changed: 1 row could not be read",
        "missing: open interest of BTC_USDT at 1 moment, left out",
    ] == ask.shortfalls


async def test_a_contract_counted_once_is_not_halved() -> None:
    """Should contract_stats count one side some day, the sum stays right."""
    once = {f"contracts/{name}": {"position_size": size} for name, size in SIDES.items()}
    (row,) = await VENUE.open_interest_history(asking("BTC", SIX, **once))
    assert pytest.approx(2 * (32_044.3501 + 9_233_634 / 77_750 + 100)) == row.points[0].coins


SIDES = {"BTC_USDT": 640_887_002, "BTC_USD1": 2_000_000, "BTC_USD": 18_467_268}


async def test_without_one_of_the_lists_there_is_no_sum() -> None:
    """Which contracts in USD1 a coin has, only their list tells."""
    ask = asking("BTC", SIX, **{"futures/usd1/contracts": VenueHttp(503, "TOO_BUSY")})
    assert [] == await VENUE.open_interest_history(ask)
    assert "missing: the contracts settled in usd1" in ask.shortfalls
    assert {"BTC"} == ask.unreadable


async def test_an_unknown_coin_is_not_listed() -> None:
    """No row, and the universe says what there is; a stock of a coin's name is no coin."""
    for coin in ("NOPE", "BABA"):
        for method in (VENUE.funding_history, VENUE.open_interest_history):
            ask = asking(coin, SIX)
            assert [] == await method(ask)
            assert (True, False) == ("BTC" in ask.universe, coin in ask.universe)


async def test_a_page_that_fails_is_told_and_all_that_fail_are_an_error() -> None:
    """One of two windows is kept; none is the venue's failure."""
    old = SIX - RATE_HOURS * HOUR - 10 * DAY
    lost = {f"from={(old - 16 * HOUR) // 1000}": VenueTimeout("timeout: no answer")}
    ask = asking("BTC", old, **lost)
    (row,) = await VENUE.funding_history(ask)
    assert 5 == len(row.rates)
    assert "timeout: no answer (funding_rate)" in ask.shortfalls
    with pytest.raises(VenueTimeout):
        await VENUE.funding_history(asking("BTC", old, funding_rate=lost.popitem()[1]))


@pytest.mark.parametrize("doc", [{}, "<html>", None, {"label": "X"}])
def test_another_shape_is_the_venues_change(doc: Any) -> None:
    """Never an empty history; an empty list is one."""
    with pytest.raises(VenueChanged):
        parse_fundings(told(doc), "X")
    with pytest.raises(VenueChanged):
        parse_stats(told(doc), LINEAR, FINE.ms, 2)
    assert ([], 0) == parse_fundings(told([]), "X")


def test_bad_rows_are_dropped_and_counted() -> None:
    """NaN, missing members, beyond belief."""
    rows = [{"t": 1, "r": "0.1"}, {"t": 1, "r": "NaN"}, {"t": 2, "r": "0.1"}, {"r": "0.1"}]
    assert 2 == parse_fundings(told(rows), "X")[1]
    found, bad = parse_fundings(sample("gateio-past", BTC_PAGE), "X")
    assert (5, 0) == (len(found), bad)


BTC_PAGE = fundings("BTC_USDT", Page(1_786_752_000_000, 1_789_412_400_000))


def test_births_are_read_where_they_are_told() -> None:
    """`create_time` in seconds."""
    rows: list[dict[str, Any]] = [{"create_time": 1_700_000_000}, {"create_time": 0}, {}]
    assert [1_700_000_000_000, None, None] == [read_birth(row) for row in rows]
