"""OKX's past: what was charged, never what was predicted; samples of all swaps or none."""

from typing import Any

import pytest
from pasts import DAY, HOUR, Sampled, asking_past, requests_of
from wires import sample

from mmflow_mcp.errors import VenueChanged, VenueTimeout
from mmflow_mcp.rows.history import PastInterest, SettledRate
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.okx import Okx, instruments
from mmflow_mcp.venues.okx_past import (
    CADENCES,
    ROWS,
    fundings,
    interest,
    parse_births,
    parse_fundings,
    parse_interest,
)
from mmflow_mcp.venues.windows import Page

pytestmark = pytest.mark.anyio

VENUE = Okx()
AT = 1_789_412_345_678
# 2026-09-14 18:00 UTC.
SIX = 1_789_408_800_000
FOUR = SIX - 2 * HOUR
FINE = CADENCES[0]
NEWEST = Page(SIX - DAY, SIX + HOUR)
SWAP = Contract("BTC-USDT-SWAP", "BTC", 1, "USDT", "linear", 0.01)


def asking(coin: str, since: int, until: int = AT, /, **told: Any) -> Ask:
    """A question over the samples, with changes."""
    return asking_past("okx", coin, since, until, Sampled("okx", "okx-past", told=told))


def told(*rows: Any, code: str = "0") -> Wire:
    """An answer by hand."""
    return Wire({"code": code, "msg": "", "data": list(rows)}, fetched_at=AT, read=0.0, size=1)


def test_the_rate_that_was_charged_is_read() -> None:
    """`realizedRate`; at one settlement the prediction even had the other sign."""
    wire = sample("okx-past", fundings("BTC-USDT-SWAP", NEWEST))
    found, bad = parse_fundings(wire, "BTC-USDT-SWAP")
    rates = {payment.ts: payment.rate for payment in found}
    assert -0.00045 == rates[FOUR - 24 * HOUR]
    assert 0.000015 == rates[FOUR]
    # One row has a prediction only.
    assert (5, 1) == (len(found), bad)


async def test_funding_of_eight_hours() -> None:
    """The main swap; the 16 hours around a row that cannot be read are no period."""
    ask = asking("BTC", FOUR - 40 * HOUR)
    (row,) = await VENUE.funding_history(ask)
    assert ("BTC", "okx", "BTC-USDT-SWAP") == (row.coin, row.venue, row.symbol)
    assert [FOUR - n * 8 * HOUR for n in (2, 1, 0)] == [rate.ts for rate in row.rates]
    assert {8} == {rate.period_hours for rate in row.rates}
    assert [
        "changed: 1 row could not be read",
        "missing: 2 rates of BTC-USDT-SWAP without a known hour or period",
    ] == ask.shortfalls


async def test_the_period_of_a_swap_changes() -> None:
    """PEPE was settled every eight hours, then every four."""
    ask = asking("PEPE", FOUR - 16 * HOUR)
    (row,) = await VENUE.funding_history(ask)
    assert (
        SettledRate(FOUR - 16 * HOUR, 0.0004, 8),
        SettledRate(FOUR - 8 * HOUR, 0.0003, 8),
        SettledRate(FOUR - 4 * HOUR, 0.0002, 4),
        SettledRate(FOUR, 0.0001, 4),
    ) == row.rates
    assert [] == ask.shortfalls


async def test_until_is_exclusive() -> None:
    """The settlement at `until` belongs to the next question."""
    ask = asking("PEPE", FOUR - 8 * HOUR, FOUR)
    (row,) = await VENUE.funding_history(ask)
    assert [FOUR - 8 * HOUR, FOUR - 4 * HOUR] == [rate.ts for rate in row.rates]


async def test_pages_go_back_until_the_time_is_reached() -> None:
    """`after` asks for what is older than the oldest; a page that fails is told."""

    def row(n: int) -> dict[str, str]:
        at = {"fundingTime": str(FOUR - n * HOUR), "instId": "BTC-USDT-SWAP"}
        return {**at, "realizedRate": "0.00001", "fundingRate": "0.9"}

    first = [row(n) for n in range(ROWS)]
    after = f"after={FOUR - (ROWS - 1) * HOUR}"
    rest = [row(n) for n in range(ROWS, ROWS + 40)]
    pages = {after: told(*rest).doc, "funding-rate-history": told(*first).doc}
    ask = asking("BTC", FOUR - 110 * HOUR, **pages)
    (whole,) = await VENUE.funding_history(ask)
    assert [FOUR - n * HOUR for n in range(110, -1, -1)] == [rate.ts for rate in whole.rates]
    assert {1} == {rate.period_hours for rate in whole.rates}
    assert 3 == len(requests_of(ask))
    broken = asking(
        "BTC", FOUR - 110 * HOUR, **{**pages, after: VenueTimeout("timeout: no answer")}
    )
    (part,) = await VENUE.funding_history(broken)
    # The oldest of the page had no neighbour before it and takes the spacing that follows.
    assert ROWS == len(part.rates)
    assert "timeout: no answer (funding-rate-history)" in broken.shortfalls


async def test_what_the_venue_no_longer_keeps_is_told() -> None:
    """Three months of funding: a year asked for says from when on there is some."""
    ask = asking("PEPE", AT - 365 * DAY)
    await VENUE.funding_history(ask)
    assert "missing: settled rates of PEPE-USDT-SWAP before 2026-09-13 08:00" in ask.shortfalls


async def test_a_settled_past_shares_its_page_by_the_hour() -> None:
    """Two questions about last week, minutes apart, ask the same address."""
    urls = []
    for shift in (60_000, HOUR // 2):
        ask = asking("BTC", SIX - 9 * DAY + shift, SIX - 7 * DAY + shift, after=told().doc)
        await VENUE.funding_history(ask)
        urls.append(requests_of(ask)[-1])
    assert urls[0] == urls[1]
    assert f"after={SIX - 7 * DAY + 17 * HOUR}" in urls[0]


async def test_open_interest_is_all_swaps_or_none() -> None:
    """27,600 + 100 + 6,250 coins; moments that one swap lacks are left out and told."""
    ask = asking("BTC", SIX)
    (row,) = await VENUE.open_interest_history(ask)
    assert ("BTC-USD-SWAP", "BTC-USDC-SWAP", "BTC-USDT-SWAP") == row.symbols
    assert 300_000 == row.cadence_ms
    assert PastInterest(SIX, 33_950.0, 2_716_000_000.0) == row.points[0]
    # 18:30 has "n/a" of one swap, 18:45 no row of another, and 18:55 is still forming.
    expected = [SIX + n * 300_000 for n in range(11) if n not in (6, 9)]
    assert expected == [point.ts for point in row.points]
    assert [
        "changed: 1 row could not be read",
        "missing: open interest of BTC-USDT-SWAP at 1 moment, left out",
        "missing: open interest of BTC-USDC-SWAP at 1 moment, left out",
    ] == sorted(ask.shortfalls, key=lambda said: (said[0], "USDC" in said))


async def test_a_swap_that_fails_leaves_no_sum() -> None:
    """Two swaps of three are no open interest of a coin."""
    ask = asking("BTC", SIX, **{"instId=BTC-USD-SWAP": VenueTimeout("timeout: no answer")})
    (row,) = await VENUE.open_interest_history(ask)
    assert () == row.points
    assert "timeout: no answer (open-interest-history)" in ask.shortfalls


async def test_an_unknown_coin_is_not_listed() -> None:
    """No row, and the universe says what there is."""
    for method in (VENUE.funding_history, VENUE.open_interest_history):
        ask = asking("NOPE", SIX)
        assert [] == await method(ask)
        assert ([], True, False) == (ask.shortfalls, "BTC" in ask.universe, "NOPE" in ask.universe)


async def test_without_the_list_the_usual_swap_answers_and_a_sum_does_not() -> None:
    """Which swaps a coin has, only the list tells."""
    down = {"instruments": VenueTimeout("timeout: no answer")}
    (row,) = await VENUE.funding_history(asking("BTC", FOUR, **down))
    assert "BTC-USDT-SWAP" == row.symbol
    with pytest.raises(VenueTimeout):
        await VENUE.open_interest_history(asking("BTC", SIX, **down))


@pytest.mark.parametrize("doc", [[], {}, {"code": "0"}, "<html>", {"code": "0", "data": {}}])
def test_another_shape_is_the_venues_change(doc: Any) -> None:
    """Never an empty history."""
    wire = Wire(doc, fetched_at=AT, read=0.0, size=1)
    with pytest.raises(VenueChanged):
        parse_fundings(wire, "BTC-USDT-SWAP")
    with pytest.raises(VenueChanged):
        parse_interest(wire, SWAP, FINE.ms)


def test_bad_rows_are_dropped_and_counted() -> None:
    """NaN, missing members, beyond belief; an error code is no list."""
    good = [str(SIX), "100", "1", "80000"]
    rows = [[str(SIX), "1"], ["x", "1", "1", "1"], [str(SIX), "1", "NaN", "1"]]
    found, bad = parse_interest(told(good, good, good, *rows), SWAP, FINE.ms)
    assert ([PastInterest(SIX, 1.0, 80_000.0)] * 3, 3) == (found, bad)
    assert [PastInterest(SIX, 1.0, None)] == parse_interest(told(good[:3]), SWAP, FINE.ms)[0]
    row = {"instId": "BTC-USDT-SWAP", "fundingTime": str(SIX), "realizedRate": "0.3"}
    with pytest.raises(VenueChanged, match="1 of 1 rows"):
        parse_fundings(told(row), "BTC-USDT-SWAP")
    with pytest.raises(VenueChanged):
        parse_fundings(told(code="50011"), "BTC-USDT-SWAP")
    assert ([], 0) == parse_fundings(told(), "BTC-USDT-SWAP")
    other = {**row, "instId": "ETH-USDT-SWAP", "realizedRate": "0.1"}
    assert ([], 0) == parse_fundings(told(other), "BTC-USDT-SWAP")


def test_weights_are_the_published_limits() -> None:
    """20 in 2 s of the meter: 10 of funding, 5 of statistics."""
    assert (2, 4) == (fundings("X", NEWEST).weight, interest("X", FINE, NEWEST).weight)


async def test_before_its_listing_a_swap_holds_nothing() -> None:
    """BTC-USD-SWAP is listed at 18:30: before, the two others are all of it."""
    wire = sample("okx", instruments("SWAP"))
    rows = [
        row | ({"listTime": str(SIX + HOUR // 2)} if row["instId"] == "BTC-USD-SWAP" else {})
        for row in wire.doc["data"]
    ]
    page = [[str(SIX + n * 300_000), "100", "1", "80000"] for n in range(11)]
    answers = {"instruments": told(*rows).doc, "instId=BTC-USD-SWAP": told(*page[6:]).doc}
    ask = asking("BTC", SIX, **answers, **{"open-interest-history": told(*page).doc})
    (row,) = await VENUE.open_interest_history(ask)
    assert [2.0] * 6 + [3.0] * 5 == [point.coins for point in row.points]
    assert [] == ask.shortfalls


def test_births_are_read_where_they_are_told() -> None:
    """Text in ms; an empty one tells nothing."""
    rows = [{"instId": name, "listTime": at} for name, at in (("A", "5"), ("B", ""))]
    assert {"A": 5} == parse_births(told(*rows, {"instId": "C"}))
