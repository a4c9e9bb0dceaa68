"""The simulated binance: USD-M, COIN-M and spot in binance's units, types and errors."""

import json
from typing import Any

import pytest
from sim_shapes import NOW, check_types, get, get_json, listing_of, make_app, recorded

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.app import SimApp

FAPI, DAPI, SPOT = "fapi.binance.com", "dapi.binance.com", "api.binance.com"


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return make_app()


def rows_by_symbol(app: SimApp, host: str, path: str) -> dict[str, Any]:
    """Rows of a bulk answer by their symbol."""
    return {row["symbol"]: row for row in get_json(app, host, path)}


def test_contracts_tell_their_kind_and_status(app: SimApp) -> None:
    """Perpetuals, quarters, TRADIFI, settling and pending ones, by field and not by name."""
    info = get_json(app, FAPI, "/fapi/v1/exchangeInfo")
    rows = {row["symbol"]: row for row in info["symbols"]}
    assert ("PERPETUAL", "TRADING", "1000PEPE", "USDT") == tuple(
        rows["1000PEPEUSDT"][k] for k in ("contractType", "status", "baseAsset", "quoteAsset")
    )
    assert "TRADIFI_PERPETUAL" == rows["BBUSDT"]["contractType"]
    assert "CURRENT_QUARTER" == rows["BTCUSDT_261225"]["contractType"]
    assert "NEXT_QUARTER" == rows["BTCUSDT_270326"]["contractType"]
    assert "SETTLING" == rows["FTMUSDT"]["status"]
    assert ("", "PENDING_TRADING") == (rows["WENUSDT"]["contractType"], rows["WENUSDT"]["status"])
    assert "币安人生" == rows["币安人生USDT"]["baseAsset"]
    assert "LUNA2" == rows["LUNA2USDT"]["baseAsset"]
    assert "USDC" == rows["BTCUSDC"]["marginAsset"]
    assert not any(symbol.endswith("USD_PERP") for symbol in rows)
    weight = [r for r in info["rateLimits"] if r["rateLimitType"] == "REQUEST_WEIGHT"]
    assert 2400 == weight[0]["limit"]


def test_prices_and_rates_are_the_markets(app: SimApp) -> None:
    """Mark, index, rate and next payment of every live perpetual."""
    rows = rows_by_symbol(app, FAPI, "/fapi/v1/premiumIndex")
    for listing in app.market.listings("binance", NOW):
        if listing.counted and listing.margin == "linear":
            perp, row = app.market.perp(listing, NOW), rows[listing.symbol]
            assert (perp.mark, perp.index, perp.funding_rate, perp.next_funding_ms) == (
                float(row["markPrice"]),
                float(row["indexPrice"]),
                float(row["lastFundingRate"]),
                row["nextFundingTime"],
            )


def test_what_has_no_funding_has_empty_strings(app: SimApp) -> None:
    """Dated and pending rows: "" and 0; settling ones: "0" and 0."""
    rows = rows_by_symbol(app, FAPI, "/fapi/v1/premiumIndex")
    for symbol, rate in (("BTCUSDT_261225", ""), ("WENUSDT", ""), ("FTMUSDT", "0")):
        row = rows[symbol]
        assert (rate, rate, 0) == (
            row["lastFundingRate"],
            row["interestRate"],
            row["nextFundingTime"],
        )


def test_periods_are_listed_for_what_was_adjusted(app: SimApp) -> None:
    """1, 2, 4 and 8 hours; BTCUSDT is absent and therefore 8."""
    rows = rows_by_symbol(app, FAPI, "/fapi/v1/fundingInfo")
    assert "BTCUSDT" not in rows
    assert {1, 2, 4, 8} == {row["fundingIntervalHours"] for row in rows.values()}
    for symbol, row in rows.items():
        listing = listing_of(app, "binance", symbol)
        assert listing.period_hours == row["fundingIntervalHours"]


def test_open_interest_is_asked_one_symbol_at_a_time(app: SimApp) -> None:
    """Symbol units on USD-M, contracts on COIN-M; errors for what cannot have any."""
    perp = app.market.perp(listing_of(app, "binance", "1000PEPEUSDT"), NOW)
    row = get_json(app, FAPI, "/fapi/v1/openInterest", symbol="1000PEPEUSDT")
    assert {"symbol": "1000PEPEUSDT", "time": NOW} == {k: row[k] for k in ("symbol", "time")}
    assert perp.open_interest == float(row["openInterest"])
    assert perp.oi_coins == 1000 * float(row["openInterest"])
    coin = app.market.perp(listing_of(app, "binance", "BTCUSD_PERP"), NOW)
    row = get_json(app, DAPI, "/dapi/v1/openInterest", symbol="BTCUSD_PERP")
    assert coin.oi_usd == 100 * float(row["openInterest"])
    assert ("BTCUSD", "PERPETUAL") == (row["pair"], row["contractType"])
    for symbol, code in (("NOPE", -1121), ("", -1102), ("FTMUSDT", -4108)):
        said = get(app, FAPI, "/fapi/v1/openInterest", symbol=symbol)
        assert (400, code) == (said.status, json.loads(said.body)["code"])


def test_non_ascii_symbols_can_be_asked(app: SimApp) -> None:
    """URL-encoded in the query, UTF-8 in the answer."""
    row = get_json(app, FAPI, "/fapi/v1/premiumIndex", symbol="币安人生USDT")
    assert "币安人生USDT" == row["symbol"]


def test_an_invalid_symbol_is_minus_1121_everywhere(app: SimApp) -> None:
    """One error for all per-symbol questions."""
    for host, path in (
        (FAPI, "/fapi/v1/premiumIndex"),
        (FAPI, "/fapi/v1/ticker/24hr"),
        (FAPI, "/fapi/v1/fundingRate"),
        (DAPI, "/dapi/v1/premiumIndex"),
        (SPOT, "/api/v3/ticker/24hr"),
    ):
        said = get(app, host, path, symbol="NOPE")
        assert (400, b'{"code":-1121,"msg":"Invalid symbol."}') == (said.status, said.body)


def test_coin_margined_answers_are_always_lists(app: SimApp) -> None:
    """Even of one symbol; a pair brings its dated ones along."""
    one = get_json(app, DAPI, "/dapi/v1/premiumIndex", symbol="BTCUSD_PERP")
    pair = get_json(app, DAPI, "/dapi/v1/premiumIndex", pair="BTCUSD")
    assert ["BTCUSD_PERP"] == [row["symbol"] for row in one]
    assert {"BTCUSD_PERP", "BTCUSD_261225", "BTCUSD_270326"} == {row["symbol"] for row in pair}
    rows = {r["symbol"]: r for r in get_json(app, DAPI, "/dapi/v1/exchangeInfo")["symbols"]}
    assert (100, 10) == tuple(rows[s]["contractSize"] for s in ("BTCUSD_PERP", "ETHUSD_PERP"))
    assert "TRADING" == rows["BTCUSD_PERP"]["contractStatus"]


def test_coin_margined_volume_is_in_contracts_and_coins(app: SimApp) -> None:
    """`volume` contracts of 100 USD, `baseVolume` bitcoin."""
    row = get_json(app, DAPI, "/dapi/v1/ticker/24hr", symbol="BTCUSD_PERP")[0]
    perp = app.market.perp(listing_of(app, "binance", "BTCUSD_PERP"), NOW)
    assert perp.turnover_usd == 100 * float(row["volume"])
    assert perp.volume_coins == pytest.approx(float(row["baseVolume"]), abs=1e-8)


def test_day_statistics_are_the_markets(app: SimApp) -> None:
    """Volume in symbol units, quoteVolume in USD, change in percent; no bid or ask."""
    row = get_json(app, FAPI, "/fapi/v1/ticker/24hr", symbol="1000PEPEUSDT")
    perp = app.market.perp(listing_of(app, "binance", "1000PEPEUSDT"), NOW)
    assert perp.volume_coins == 1000 * float(row["volume"])
    assert perp.turnover_usd == float(row["quoteVolume"])
    assert perp.last == float(row["lastPrice"])
    change = (perp.last / perp.open_24h - 1) * 100
    assert change == pytest.approx(float(row["priceChangePercent"]), abs=0.001)
    assert "bidPrice" not in row
    book = get_json(app, FAPI, "/fapi/v1/ticker/bookTicker", symbol="1000PEPEUSDT")
    assert (perp.bid, perp.ask) == (float(book["bidPrice"]), float(book["askPrice"]))
    price = get_json(app, FAPI, "/fapi/v1/ticker/price", symbol="1000PEPEUSDT")
    assert perp.last == float(price["price"])


def test_funding_history_agrees_and_pages(app: SimApp) -> None:
    """The newest rows without times; the oldest from startTime on; at most 1,000."""
    path = "/fapi/v1/fundingRate"
    listing = listing_of(app, "binance", "ETHUSDT")
    newest = get_json(app, FAPI, path, symbol="ETHUSDT", limit=3)
    assert [NOW // (8 * HOUR_MS) - n for n in (2, 1, 0)] == [
        row["fundingTime"] // (8 * HOUR_MS) for row in newest
    ]
    for row in newest:
        hour = row["fundingTime"] // HOUR_MS * HOUR_MS
        assert app.market.settled_funding(listing, hour) == float(row["fundingRate"])
        assert app.market.perp(listing, hour).mark == float(row["markPrice"])
    start = NOW - 100 * DAY_MS
    oldest = get_json(app, FAPI, path, symbol="ETHUSDT", startTime=start)
    assert 100 == len(oldest)
    assert start <= oldest[0]["fundingTime"] < start + 8 * HOUR_MS
    assert 1000 == len(get_json(app, FAPI, path, symbol="ETHUSDT", startTime=0, limit=5000))
    everyone = get_json(app, FAPI, path)
    assert 100 == len(everyone)
    assert len({row["symbol"] for row in everyone}) > 50


def test_interest_history_stands_on_its_grid(app: SimApp) -> None:
    """Ascending points of the period with coins and USD; COIN-M gives contracts and coins."""
    path = "/futures/data/openInterestHist"
    rows = get_json(app, FAPI, path, symbol="BTCUSDT", period="1h", limit=25)
    assert 25 == len(rows)
    assert [NOW // HOUR_MS - n for n in range(24, -1, -1)] == [
        row["timestamp"] // HOUR_MS for row in rows
    ]
    perp = app.market.perp(listing_of(app, "binance", "BTCUSDT"), rows[0]["timestamp"])
    assert perp.open_interest == float(rows[0]["sumOpenInterest"])
    assert perp.oi_usd == pytest.approx(float(rows[0]["sumOpenInterestValue"]), rel=1e-12)
    coin = get_json(app, DAPI, path, pair="BTCUSD", contractType="PERPETUAL", period="1h")[-1]
    perp = app.market.perp(listing_of(app, "binance", "BTCUSD_PERP"), coin["timestamp"])
    assert perp.open_interest == float(coin["sumOpenInterest"])
    assert perp.oi_coins == pytest.approx(float(coin["sumOpenInterestValue"]), abs=1e-7)


def test_interest_history_reaches_a_month_back(app: SimApp) -> None:
    """500 points at most; older starts are an error; a wrong period too."""
    path = "/futures/data/openInterestHist"
    rows = get_json(app, FAPI, path, symbol="BTCUSDT", period="5m", limit=900)
    assert 500 == len(rows)
    for query in ({"startTime": NOW - 40 * DAY_MS, "period": "1h"}, {"period": "3m"}, {}):
        assert 400 == get(app, FAPI, path, symbol="BTCUSDT", **query).status


def test_the_used_weight_adds_up_within_a_minute() -> None:
    """One symbol costs 1, all cost 10; USD-M and COIN-M share the count, spot has its own."""
    app = make_app()
    said = [
        get(app, FAPI, "/fapi/v1/premiumIndex", symbol="BTCUSDT"),
        get(app, FAPI, "/fapi/v1/premiumIndex"),
        get(app, DAPI, "/dapi/v1/openInterest", symbol="BTCUSD_PERP"),
        get(app, SPOT, "/api/v3/ticker/24hr"),
    ]
    assert ["1", "11", "12", "80"] == [one.headers["x-mbx-used-weight-1m"] for one in said]


def test_spot_tickers_have_bid_ask_and_quote_volume(app: SimApp) -> None:
    """One, some or all; the perpetual of the same name is another thing."""
    rows = get_json(app, SPOT, "/api/v3/ticker/24hr", symbols='["BTCUSDT","1000SATSUSDT"]')
    assert ["BTCUSDT", "1000SATSUSDT"] == [row["symbol"] for row in rows]
    spot = app.market.perp(listing_of(app, "binance", "BTCUSDT", "spot"), NOW)
    assert (spot.bid, spot.ask, spot.last) == tuple(
        float(rows[0][k]) for k in ("bidPrice", "askPrice", "lastPrice")
    )
    assert spot.turnover_usd == float(rows[0]["quoteVolume"])
    perp = app.market.perp(listing_of(app, "binance", "BTCUSDT"), NOW)
    assert perp.mark != spot.mark
    assert 400 == get(app, SPOT, "/api/v3/ticker/24hr", symbols='["NOPE"]').status
    assert get_json(app, SPOT, "/api/v3/exchangeInfo") == get_json(
        app, "data-api.binance.vision", "/api/v3/exchangeInfo"
    )


@pytest.mark.parametrize(
    ("host", "path", "query"),
    [
        (FAPI, "/fapi/v1/premiumIndex", {"symbol": "BTCUSDT"}),
        (FAPI, "/fapi/v1/openInterest", {"symbol": "BTCUSDT"}),
        (FAPI, "/fapi/v1/fundingInfo", {}),
        (FAPI, "/fapi/v1/fundingRate", {"symbol": "BTCUSDT"}),
        (FAPI, "/fapi/v1/ticker/24hr", {"symbol": "BTCUSDT"}),
        (FAPI, "/fapi/v1/ticker/price", {"symbol": "BTCUSDT"}),
        (FAPI, "/fapi/v1/ticker/bookTicker", {"symbol": "BTCUSDT"}),
        (FAPI, "/futures/data/openInterestHist", {"symbol": "BTCUSDT", "period": "1h"}),
        (DAPI, "/dapi/v1/premiumIndex", {"pair": "BTCUSD"}),
        (DAPI, "/dapi/v1/openInterest", {"symbol": "BTCUSD_PERP"}),
        (DAPI, "/dapi/v1/fundingRate", {"symbol": "BTCUSD_PERP"}),
        (DAPI, "/dapi/v1/ticker/24hr", {"symbol": "BTCUSD_PERP"}),
        (DAPI, "/dapi/v1/ticker/bookTicker", {"symbol": "BTCUSD_PERP"}),
        (SPOT, "/api/v3/ticker/24hr", {"symbol": "BTCUSDT"}),
        (SPOT, "/api/v3/ticker/price", {"symbol": "BTCUSDT"}),
        (SPOT, "/api/v3/ticker/bookTicker", {"symbol": "BTCUSDT"}),
    ],
)
def test_rows_have_the_recorded_fields_and_types(
    app: SimApp, host: str, path: str, query: dict[str, str]
) -> None:
    """Field by field against what the venue really sent, one or all the same."""
    real = recorded(
        "binance", f"{host}{path}", *(f"{k}={query[k]}" for k in query if k == "symbol")
    )
    ours = get_json(app, host, path, **query)
    assert isinstance(real, list) == isinstance(ours, list)
    check_types(
        real[0] if isinstance(real, list) else real, ours[0] if isinstance(ours, list) else ours
    )


@pytest.mark.parametrize(
    ("host", "path", "lacking"),
    [
        (FAPI, "/fapi/v1/exchangeInfo", ("maxMoveOrderLimit", "permissionSets")),
        (DAPI, "/dapi/v1/exchangeInfo", ("maxMoveOrderLimit", "permissionSets")),
    ],
)
def test_contracts_have_the_recorded_fields_and_types(
    app: SimApp, host: str, path: str, lacking: tuple[str, ...]
) -> None:
    """All that a reader could want of a contract; two members of order entry are left out."""
    real, ours = recorded("binance", f"{host}{path}"), get_json(app, host, path)
    check_types({k: v for k, v in real.items() if k != "assets"}, ours)
    check_types(real["symbols"][0], ours["symbols"][0], *lacking)
