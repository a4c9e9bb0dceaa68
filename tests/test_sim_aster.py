"""The simulated aster: binance's grammar with aster's differences."""

import pytest
from sim_shapes import NOW, check_types, get, get_json, listing_of, make_app, recorded

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.app import SimApp

HOST = "fapi.asterdex.com"


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return make_app()


def test_both_versions_answer_alike(app: SimApp) -> None:
    """/fapi/v1 and /fapi/v3 are the same data."""
    for name in ("exchangeInfo", "premiumIndex", "fundingInfo", "ticker/24hr", "ticker/bookTicker"):
        first = get_json(app, HOST, f"/fapi/v1/{name}")
        assert first == get_json(app, HOST, f"/fapi/v3/{name}")
    assert {"serverTime": NOW} == get_json(app, HOST, "/fapi/v3/time")


def test_every_perpetual_is_the_markets(app: SimApp) -> None:
    """Mark, rate and open interest, whatever the quote currency."""
    rows = {row["symbol"]: row for row in get_json(app, HOST, "/fapi/v3/premiumIndex")}
    counted = [i for i in app.market.listings("aster", NOW) if i.counted]
    for listing in counted:
        perp, row = app.market.perp(listing, NOW), rows[listing.symbol]
        assert (perp.mark, perp.funding_rate, perp.next_funding_ms) == (
            float(row["markPrice"]),
            float(row["lastFundingRate"]),
            row["nextFundingTime"],
        )
        held = get_json(app, HOST, "/fapi/v1/openInterest", symbol=listing.symbol)
        assert perp.open_interest == float(held["openInterest"])


def test_quotes_cannot_be_told_from_the_name(app: SimApp) -> None:
    """CLUSD1 is CL in USD1; BTCUSD is linear in USD; only the fields tell."""
    info = get_json(app, HOST, "/fapi/v3/exchangeInfo")
    rows = {row["symbol"]: row for row in info["symbols"]}
    assert ("CL", "USD1") == (rows["CLUSD1"]["baseAsset"], rows["CLUSD1"]["quoteAsset"])
    assert ("BTC", "USD", "USD") == tuple(
        rows["BTCUSD"][k] for k in ("baseAsset", "quoteAsset", "marginAsset")
    )


def test_stocks_are_marked_in_the_sub_type(app: SimApp) -> None:
    """underlyingType says COIN for all; a stock QNT stands where the coin QNT is not listed."""
    rows = {r["symbol"]: r for r in get_json(app, HOST, "/fapi/v3/exchangeInfo")["symbols"]}
    assert {"COIN"} == {row["underlyingType"] for row in rows.values()}
    assert (["STOCK"], 1) == (rows["QNTUSDT"]["underlyingSubType"], rows["QNTUSDT"]["symbolType"])
    assert (["Commodities"], 1) == (
        rows["CLUSD1"]["underlyingSubType"],
        rows["CLUSD1"]["symbolType"],
    )
    assert 0 == rows["BTCUSDT"]["symbolType"]
    assert "PENDING_TRADING" == rows["MOGUSDT"]["status"]


def test_periods_are_told_of_every_symbol(app: SimApp) -> None:
    """Caps are numbers or null, never strings."""
    rows = get_json(app, HOST, "/fapi/v3/fundingInfo")
    perps = {i.symbol: i for i in app.market.listings("aster", NOW) if i.kind == "perp"}
    assert perps.keys() == {row["symbol"] for row in rows}
    for row in rows:
        assert perps[row["symbol"]].period_hours == row["fundingIntervalHours"]
        assert row["fundingFeeCap"] in (None, 0.02)


def test_history_gives_the_oldest_rows_from_a_start(app: SimApp) -> None:
    """Ascending, without mark price; the newest rows when no start is given."""
    listing = listing_of(app, "aster", "ETHUSDT")
    start = NOW - 400 * HOUR_MS
    rows = get_json(app, HOST, "/fapi/v3/fundingRate", symbol="ETHUSDT", startTime=start, limit=5)
    assert 5 == len(rows)
    assert start <= rows[0]["fundingTime"] < start + listing.period_hours * HOUR_MS
    assert {"symbol", "fundingRate", "fundingTime"} == set(rows[0])
    for row in rows:
        assert app.market.settled_funding(listing, row["fundingTime"]) == float(row["fundingRate"])
    newest = get_json(app, HOST, "/fapi/v3/fundingRate", symbol="ETHUSDT", limit=1)[0]
    assert NOW - newest["fundingTime"] < listing.period_hours * HOUR_MS


def test_an_unknown_symbol_is_minus_1121(app: SimApp) -> None:
    """As at binance."""
    said = get(app, HOST, "/fapi/v3/premiumIndex", symbol="NOPE")
    assert (400, b'{"code":-1121,"msg":"Invalid symbol."}') == (said.status, said.body)


def test_spot_is_on_another_host(app: SimApp) -> None:
    """sapi serves spot tickers with bid and ask."""
    row = get_json(app, "sapi.asterdex.com", "/api/v3/ticker/24hr", symbol="BTCUSDT")
    spot = app.market.perp(listing_of(app, "aster", "BTCUSDT", "spot"), NOW)
    assert (spot.bid, spot.last) == (float(row["bidPrice"]), float(row["lastPrice"]))


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("exchangeInfo", {}),
        ("premiumIndex", {}),
        ("fundingInfo", {}),
        ("openInterest", {"symbol": "BTCUSDT"}),
        ("fundingRate", {"symbol": "BTCUSDT"}),
        ("ticker/24hr", {"symbol": "BTCUSDT"}),
        ("ticker/bookTicker", {"symbol": "BTCUSDT"}),
    ],
)
def test_rows_have_the_recorded_fields_and_types(
    app: SimApp, name: str, query: dict[str, str]
) -> None:
    """Field by field against what the venue really sent."""
    parts = [f"{k}={v}" for k, v in query.items()]
    real = recorded("aster", f"{HOST}/fapi/v1/{name}", *parts)
    ours = get_json(app, HOST, f"/fapi/v1/{name}", **query)
    if name == "exchangeInfo":
        check_types(real["symbols"][0], ours["symbols"][0], "OrderType")
        real, ours = [real], [ours]
    assert isinstance(real, list) == isinstance(ours, list)
    check_types(
        real[0] if isinstance(real, list) else real, ours[0] if isinstance(ours, list) else ours
    )
