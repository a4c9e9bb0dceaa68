"""Kraken's past: hours named by their beginning, fractions beside money, columns of samples."""

from typing import Any

import pytest
from pasts import HOUR, Sampled, asking_past, requests_of
from wires import sample

from mmflow_mcp.errors import VenueChanged, VenueTimeout
from mmflow_mcp.rows.history import PastInterest, SettledRate
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.kraken import Kraken
from mmflow_mcp.venues.kraken_past import (
    as_samples,
    check_unit,
    fundings,
    parse_fundings,
    parse_interest,
    parse_marks,
    read_birth,
)

pytestmark = pytest.mark.anyio

VENUE = Kraken()
AT = 1_789_412_345_678
# 2026-09-14 18:00 UTC.
SIX = 1_789_408_800_000
LINEAR = Contract("PF_1000PEPEUSD", "PEPE", 1000, "USD")
INVERSE = Contract("PI_XBTUSD", "BTC", 1, "USD", "inverse")


def asking(coin: str, since: int, until: int = AT, /, **told: Any) -> Ask:
    """A question over the samples, with changes."""
    return asking_past("kraken", coin, since, until, Sampled("kraken", "kraken-past", told=told))


def told(doc: Any) -> Wire:
    """An answer by hand."""
    return Wire(doc, fetched_at=AT, read=0.0, size=1)


async def test_an_hour_is_settled_at_its_end() -> None:
    """The row of 17:00 holds until 18:00; that of 18:00 is fixed and still runs."""
    ask = asking("BTC", SIX - 5 * HOUR)
    (row,) = await VENUE.funding_history(ask)
    assert ("BTC", "kraken", "PF_XBTUSD") == (row.coin, row.venue, row.symbol)
    assert (
        SettledRate(SIX - 4 * HOUR, 0.000015, 1),
        SettledRate(SIX - 3 * HOUR, -0.00001, 1),
        SettledRate(SIX - HOUR, 0.00000625, 1),
        SettledRate(SIX, 0.0000065, 1),
    ) == row.rates


async def test_the_hour_that_runs_is_not_settled_until_it_ends() -> None:
    """The same answer, read after 19:00, has one more."""
    wire = sample("kraken-past", fundings("PF_XBTUSD", AT, AT))
    later = Wire(wire.doc, fetched_at=SIX + HOUR, read=0.0, size=1)
    assert [*parse_fundings(wire)[0], (SIX + HOUR, 0.0000075, 1)] == parse_fundings(later)[0]


def test_money_is_never_taken_for_a_fraction() -> None:
    """`fundingRate` of 1.2 is dollars per coin; a row without the fraction is bad."""
    row = {"timestamp": "2026-09-14T13:00:00.000Z", "fundingRate": 0.00001}
    good = {**row, "relativeFundingRate": 0.000015}
    found, bad = parse_fundings(told({"rates": [good, row]}))
    assert ([(SIX - 4 * HOUR, 0.000015, 1)], 1) == (found, bad)


def test_rates_of_before_the_hourly_ones_are_not_read() -> None:
    """Whether those of four hours hold for one hour or four is not documented."""
    found, bad = parse_fundings(sample("kraken-past", fundings("PF_XBTUSD", AT, AT)))
    assert (4, 0) == (len(found), bad)
    assert min(payment.ts for payment in found) == SIX - 4 * HOUR


async def test_where_the_rates_begin_is_told() -> None:
    """A question that goes back further than the venue does."""
    ask = asking("BTC", SIX - 500 * HOUR)
    await VENUE.funding_history(ask)
    assert ["missing: settled rates of PF_XBTUSD before 2026-09-14 14:00"] == ask.shortfalls


async def test_open_interest_adds_the_linear_and_the_inverse_perpetual() -> None:
    """The opening value of each interval, in coins and in dollars, valued at the mark of then."""
    ask = asking("BTC", SIX)
    (row,) = await VENUE.open_interest_history(ask)
    assert (("PF_XBTUSD", "PI_XBTUSD"), 300_000) == (row.symbols, row.cadence_ms)
    coins, usd = 2_000.5 + 2_000_500 / 80_020, 2_000.5 * 80_010 + 2_000_500
    first = row.points[0]
    assert pytest.approx((SIX, coins, usd)) == (first.ts, first.coins, first.usd)
    # 18:20 has "NaN"; at 18:55 there is no mark of the inverse one, so no coins.
    assert [n for n in range(11) if n != 4] == [(p.ts - SIX) // 300_000 for p in row.points]
    assert [
        "changed: 1 row could not be read",
        "missing: open interest of PF_XBTUSD at 1 moment, left out",
    ] == ask.shortfalls


async def test_without_marks_a_linear_contract_has_coins_only() -> None:
    """Dollars are null rather than valued at another time; the inverse one has no coins then."""
    (row,) = await VENUE.open_interest_history(
        asking(
            "SOL",
            SIX,
            mark=VenueTimeout("timeout: no answer"),
            PF_SOLUSD={"result": {"timestamp": [SIX // 1000], "data": [["100"]]}, "errors": []},
        )
    )
    assert (PastInterest(SIX, 100.0, None),) == row.points
    ask = asking("BTC", SIX, **{"mark/PI": VenueTimeout("timeout: no answer")})
    (none,) = await VENUE.open_interest_history(ask)
    assert () == none.points
    assert "timeout: no answer (futures/mark)" in ask.shortfalls


def test_multiples_are_divided_out() -> None:
    """5 units of 1000PEPE at 0.01 dollars are 5,000 coins."""
    assert ([PastInterest(SIX, 5_000.0, 0.05)], 0) == as_samples(LINEAR, {SIX: 5.0}, {SIX: 0.01})
    assert ([], 0) == as_samples(INVERSE, {SIX: 5.0}, {})
    with pytest.raises(VenueChanged):
        as_samples(LINEAR, {SIX: 1e20}, {SIX: 0.01})


@pytest.mark.parametrize("live", [2000.5, 1100, 3900])
def test_a_unit_that_agrees_with_the_ticker_is_believed(live: float) -> None:
    """Within half and double: an hour moves no further."""
    point = told({"result": {"timestamp": [1, 2], "data": [["1"], ["2000.5"]]}})
    check_unit(LINEAR, point, {"openInterest": live})


@pytest.mark.parametrize("live", [160_060_005, 0.025, 0])
def test_another_unit_is_refused(live: float) -> None:
    """Dollars where coins are expected, or the reverse."""
    point = told({"result": {"timestamp": [1], "data": [["2000.5"]]}})
    with pytest.raises(VenueChanged, match="in which unit"):
        check_unit(LINEAR, point, {"openInterest": live})


def test_a_contract_without_a_ticker_or_a_point_is_refused() -> None:
    """Nothing says in which unit it is told."""
    with pytest.raises(VenueChanged):
        check_unit(LINEAR, told({"result": {"timestamp": [1], "data": [["1"]]}}), {})
    with pytest.raises(VenueChanged):
        check_unit(LINEAR, told({"result": {"timestamp": [], "data": []}}), {"openInterest": 1})


async def test_an_unknown_coin_is_not_listed() -> None:
    """No row, and the universe says what there is."""
    for method in (VENUE.funding_history, VENUE.open_interest_history):
        ask = asking("NOPE", SIX)
        assert [] == await method(ask)
        assert (True, False) == ("BTC" in ask.universe, "NOPE" in ask.universe)
        assert 2 == len(requests_of(ask))


@pytest.mark.parametrize(
    "doc",
    [
        [],
        "<html>",
        {"result": "error", "errors": [{"code": 11}]},
        {"result": None, "errors": []},
        {"result": {"timestamp": [1], "data": []}},
        {"result": {"timestamp": [1], "data": {"a": 1}}},
        {"rates": {}, "candles": {}},
    ],
)
def test_another_shape_is_the_venues_change(doc: Any) -> None:
    """Never an empty history; columns of two lengths cannot be put together."""
    for parse in (parse_fundings, parse_interest, parse_marks):
        with pytest.raises(VenueChanged):
            parse(told(doc))


def test_bad_rows_are_dropped_and_counted() -> None:
    """No moment, no zone, beyond belief; a scalar in place of the four is read."""
    rows = [{"timestamp": at, "relativeFundingRate": 0.00001} for at in ("2026-09-14T01:00:00", 5)]
    good = {"timestamp": "2026-09-14T13:00:00Z", "relativeFundingRate": 0.000015}
    assert 2 == parse_fundings(told({"rates": [*rows, good, good]}))[1]
    columns = {"timestamp": [1, 2, 3], "data": [["1", "2", "0", "1"], 7, ["x"]]}
    assert ({1_000: 1.0, 2_000: 7.0}, 1) == parse_interest(told({"result": columns}))
    candles = [{"time": 5, "open": "2"}, {"time": 6, "open": "0"}]
    assert ({5: 2.0}, 1) == parse_marks(told({"candles": candles}))


def test_births_are_read_where_they_are_told() -> None:
    """A moment with a zone; anything else tells nothing."""
    told_at = ["2026-09-14T18:00:00.000Z", "2026-09-14T18:00:00", "", None, 5]
    births = [read_birth({"openingDate": at}) for at in told_at]
    assert [SIX, None, None, None, None] == births
    assert read_birth({}) is None
