"""Deribit's past: hours that add up, never the sums of eight hours that overlap."""

from typing import Any

import pytest
from pasts import DAY, HOUR, Sampled, asking_past, requests_of

from mmflow_mcp.errors import VenueChanged, VenueTimeout
from mmflow_mcp.rows.history import SettledRate
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.deribit import Deribit
from mmflow_mcp.venues.deribit_past import parse_hours

pytestmark = pytest.mark.anyio

VENUE = Deribit()
AT = 1_789_412_345_678
# 2026-09-14 18:00 UTC.
SIX = 1_789_408_800_000


def asking(coin: str, since: int, until: int = AT, /, **told: Any) -> Ask:
    """A question over the samples, with changes."""
    return asking_past("deribit", coin, since, until, Sampled("deribit", "deribit-past", told=told))


def told(doc: Any) -> Wire:
    """An answer by hand."""
    return Wire(doc, fetched_at=AT, read=0.0, size=1)


async def test_each_hour_is_settled_for_itself() -> None:
    """`interest_1h` with a period of one hour; `interest_8h` would count each hour eight times."""
    ask = asking("BTC", SIX - 3 * HOUR)
    (row,) = await VENUE.funding_history(ask)
    assert ("BTC", "deribit", "BTC-PERPETUAL") == (row.coin, row.venue, row.symbol)
    assert (
        SettledRate(SIX - 3 * HOUR, -0.0000031, 1),
        SettledRate(SIX - 2 * HOUR, 0.0000042, 1),
        SettledRate(SIX, 0.0000012, 1),
    ) == row.rates
    assert ["changed: 1 row could not be read"] == ask.shortfalls


async def test_bitcoin_needs_no_list_and_others_do() -> None:
    """The inverse perpetual speaks for BTC and ETH, whatever is listed in USDC."""
    ask = asking("BTC", SIX - 3 * HOUR)
    await VENUE.funding_history(ask)
    assert 1 == len(requests_of(ask))
    sol = asking("SOL", SIX - 3 * HOUR)
    (row,) = await VENUE.funding_history(sol)
    assert "SOL_USDC-PERPETUAL" == row.symbol
    assert (SettledRate(SIX - 3 * HOUR, 0.00003, 1), SettledRate(SIX - 2 * HOUR, 0.00004, 1)) == (
        row.rates
    )


async def test_until_is_exclusive() -> None:
    """Both ends of a request are inclusive; those of a question are not."""
    (row,) = await VENUE.funding_history(asking("BTC", SIX - 3 * HOUR, SIX - 2 * HOUR))
    assert [SIX - 3 * HOUR] == [rate.ts for rate in row.rates]


async def test_long_questions_are_cut_and_told() -> None:
    """13 windows of 30 days."""
    empty = {"jsonrpc": "2.0", "result": []}
    ask = asking("ETH", 0, AT, get_funding_rate_history=empty)
    (row,) = await VENUE.funding_history(ask)
    assert ("ETH-PERPETUAL", ()) == (row.symbol, row.rates)
    assert 13 == len(requests_of(ask))
    assert [
        said for said in ask.shortfalls if said.startswith("missing: settled rates of ETH-PERP")
    ]


async def test_an_unknown_coin_is_not_listed() -> None:
    """No row, and the universe says what there is; a dated future is no perpetual."""
    ask = asking("NOPE", SIX)
    assert [] == await VENUE.funding_history(ask)
    assert {"BTC", "ETH", "SOL", "XRP"} == set(ask.universe)


async def test_a_failing_list_is_no_unlisted_coin() -> None:
    """Without the list nobody knows whether SOL has a perpetual."""
    with pytest.raises(VenueTimeout):
        await VENUE.funding_history(
            asking("SOL", SIX - DAY, get_book_summary=VenueTimeout("timeout: no answer"))
        )


@pytest.mark.parametrize("doc", [[], {}, "<html>", {"result": None}, {"result": {}}])
def test_another_shape_is_the_venues_change(doc: Any) -> None:
    """Never an empty history."""
    with pytest.raises(VenueChanged):
        parse_hours(told(doc), "X")


def test_bad_rows_are_dropped_and_counted() -> None:
    """A missing hour's figure is not taken from the eight."""
    good = {"timestamp": SIX, "interest_1h": 0.00001, "interest_8h": 0.1}
    rows = [good, good, {"timestamp": SIX, "interest_8h": 0.1}, {**good, "interest_1h": "NaN"}]
    found, bad = parse_hours(told({"result": rows}), "X")
    assert (2, 2) == (len(found), bad)
    assert ([], 0) == parse_hours(told({"result": []}), "X")
