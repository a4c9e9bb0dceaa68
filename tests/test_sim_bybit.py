"""The simulated bybit tells the market's truth in bybit's units, types and errors."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import pytest

from mmflow_mcp.clock import DAY_MS, HOUR_MS, FixedClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.bybit import SINGLE_SINCE_MS
from mmflow_mcp.sim.market import Listing, Market

NOW = 1_795_490_745_000
HOST = "api.bybit.com"
RECORDED = Path(__file__).resolve().parents[1].parent / "shared" / "wire" / "bybit.har"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return SimApp(Market(1), FixedClock(NOW))


def ask(app: SimApp, path: str, **query: object) -> Row:
    """The envelope of an answer; bybit says 200 whatever happens."""
    found = app.reply("GET", HOST, f"/v5/market/{path}", urlencode(query).encode(), b"")
    assert found.status == 200
    envelope: Row = json.loads(found.body)
    assert list(envelope) == ["retCode", "retMsg", "result", "retExtInfo", "time"]
    return envelope


def rows(app: SimApp, path: str, **query: object) -> list[Row]:
    """The list of an answer that is no error."""
    envelope = ask(app, path, **query)
    assert envelope["retCode"] == 0
    found: list[Row] = envelope["result"]["list"]
    return found


def listing(app: SimApp, symbol: str, kind: str = "perp") -> Listing:
    """A listing of the market by its symbol."""
    return next(
        i for i in app.market.listings("bybit", NOW) if (i.symbol, i.kind) == (symbol, kind)
    )


def newest_recorded(part: str) -> Row:
    """The result of the newest recorded answer to an address with that part."""
    if not RECORDED.exists():
        pytest.skip("the recordings are not on this machine")
    entries = [
        e for e in json.loads(RECORDED.read_text())["log"]["entries"] if part in e["request"]["url"]
    ]
    newest = max(entries, key=lambda e: str(e["startedDateTime"]))
    result: Row = json.loads(newest["response"]["content"]["text"])["result"]
    return result


def coin_total(app: SimApp, coin: str) -> tuple[float, float]:
    """(USD, coins) of a coin, read from tickers and instruments as the dossier says."""
    usd = coins = 0.0
    for category in ("linear", "inverse"):
        kinds = {r["symbol"]: r for r in rows(app, "instruments-info", category=category)}
        for row in rows(app, "tickers", category=category):
            kind = kinds.get(row["symbol"])
            perpetual = kind and kind["contractType"].endswith("Perpetual")
            if not kind or not perpetual or kind["symbolType"] not in ("", "innovation"):
                continue
            names = {coin: 1, f"1000{coin}": 1000, f"{coin}1000": 1000, f"10000{coin}": 10_000}
            if kind["baseCoin"] not in names:
                continue
            size, value = float(row["singleOpenInterest"]), float(row["singleOpenInterestValue"])
            many = names[kind["baseCoin"]]
            usd += size if category == "inverse" else value
            coins += value if category == "inverse" else size * many
    return usd, coins


@pytest.mark.parametrize("coin", ["BTC", "ETH", "PEPE", "SHIB", "SATS", "BONK", "1INCH", "BB"])
def test_open_interest_read_as_the_dossier_says_is_the_truth(app: SimApp, coin: str) -> None:
    """USDT, USDC and inverse perpetuals of a coin add up to what the market holds."""
    truth = app.market.open_interest("bybit", coin, NOW)
    assert truth is not None
    assert pytest.approx(truth[0], rel=1e-6) == coin_total(app, coin)[0]
    assert pytest.approx(truth[1], rel=1e-6) == coin_total(app, coin)[1]


@pytest.mark.parametrize("category", ["linear", "inverse"])
def test_open_interest_counts_both_sides_and_one(app: SimApp, category: str) -> None:
    """`openInterest` is twice `singleOpenInterest` on every row that has them."""
    told = [r for r in rows(app, "tickers", category=category) if r["openInterest"]]
    assert told
    for row in told:
        assert 2 * float(row["singleOpenInterest"]) == float(row["openInterest"])
        both = 2 * float(row["singleOpenInterestValue"])
        assert pytest.approx(both, abs=0.02) == float(row["openInterestValue"])


def test_inverse_size_is_usd_and_value_is_coins(app: SimApp) -> None:
    """On BTCUSD the roles of size and value, and of volume and turnover, are swapped."""
    (row,) = rows(app, "tickers", category="inverse", symbol="BTCUSD")
    perp = app.market.perp(listing(app, "BTCUSD"), NOW)
    assert perp.oi_usd == float(row["singleOpenInterest"])
    assert pytest.approx(perp.oi_coins, abs=0.0001) == float(row["singleOpenInterestValue"])
    assert pytest.approx(perp.turnover_usd) == float(row["volume24h"])
    assert pytest.approx(perp.volume_coins) == float(row["turnover24h"])


def test_funding_is_the_predicted_rate_with_its_hours(app: SimApp) -> None:
    """Rate, next settlement and period of a ticker are the market's; minutes in instruments."""
    minutes = {
        r["symbol"]: r["fundingInterval"] for r in rows(app, "instruments-info", category="linear")
    }
    seen = set()
    for row in rows(app, "tickers", category="linear"):
        if not row["fundingRate"]:
            continue
        perp = app.market.perp(listing(app, row["symbol"]), NOW)
        assert perp.funding_rate == float(row["fundingRate"])
        assert str(perp.next_funding_ms) == row["nextFundingTime"]
        assert 60 * int(row["fundingIntervalHour"]) == minutes[row["symbol"]]
        seen.add(row["fundingIntervalHour"])
    assert {"1", "2", "4", "8"} == seen


def test_dated_rows_have_no_funding(app: SimApp) -> None:
    """A dated future says "" where a perpetual has a rate, and when it is delivered."""
    dated = [r for r in rows(app, "tickers", category="linear") if r["deliveryTime"] != "0"]
    assert dated
    for row in dated:
        assert ("", "", "0") == (
            row["fundingRate"],
            row["fundingIntervalHour"],
            row["nextFundingTime"],
        )
        assert listing(app, row["symbol"], "future").expiry_ms == int(row["deliveryTime"])


def test_prelaunch_rows_are_empty_and_asked_for(app: SimApp) -> None:
    """Before launch a ticker has "" for numbers; instruments show it only with its status."""
    (row,) = rows(app, "tickers", category="linear", symbol="WENUSDT")
    assert ("", "", "CallAuction") == (
        row["markPrice"],
        row["singleOpenInterest"],
        row["curPreListingPhase"],
    )
    trading = {r["symbol"] for r in rows(app, "instruments-info", category="linear")}
    assert "WENUSDT" not in trading
    (pre,) = rows(app, "instruments-info", category="linear", status="PreLaunch")
    assert ("WENUSDT", True) == (pre["symbol"], pre["isPreListing"])


def test_delisted_rows_are_only_seen_as_closed(app: SimApp) -> None:
    """A delisted contract has no ticker and is listed under status Closed."""
    assert "FTMUSDT" not in {r["symbol"] for r in rows(app, "tickers", category="linear")}
    closed = rows(app, "instruments-info", category="linear", status="Closed")
    assert ["FTMUSDT"] == [r["symbol"] for r in closed]


def test_stocks_stand_among_the_coins(app: SimApp) -> None:
    """MOVE is a stock here: only symbolType tells it from the coin."""
    types = {
        r["baseCoin"]: r["symbolType"] for r in rows(app, "instruments-info", category="linear")
    }
    assert ("stock", "commodity", "forex") == (types["MOVE"], types["XAU"], types["EURUSD"])
    assert ("", "innovation") == (types["BTC"], types["PUMP"])


@pytest.mark.parametrize("decode", [str, unquote])
def test_pages_together_are_the_whole_list(app: SimApp, decode: Any) -> None:
    """Following nextPageCursor, as it is or decoded, gives every instrument once."""
    whole = [r["symbol"] for r in rows(app, "instruments-info", category="linear")]
    paged: list[str] = []
    cursor = ""
    while True:
        result = ask(app, "instruments-info", category="linear", limit=30, cursor=cursor)["result"]
        paged += [r["symbol"] for r in result["list"]]
        cursor = decode(result["nextPageCursor"])
        if not cursor:
            break
    assert whole == paged


def test_open_interest_history_agrees_with_the_snapshots(app: SimApp) -> None:
    """Rows are newest first on whole intervals; each is what the ticker said at that moment."""
    asked = {"category": "linear", "symbol": "BTCUSDT", "intervalTime": "1h"}
    told = rows(app, "open-interest", **asked, limit=5)
    newest = NOW - NOW % HOUR_MS
    assert [str(newest - n * HOUR_MS) for n in range(5)] == [r["timestamp"] for r in told]
    for row in told:
        perp = app.market.perp(listing(app, "BTCUSDT"), int(row["timestamp"]))
        assert perp.open_interest == float(row["singleOpenInterest"])
        assert 2 * perp.open_interest == float(row["openInterest"])


def test_old_open_interest_knows_only_both_sides(app: SimApp) -> None:
    """Before the one-sided field existed a row has openInterest alone."""
    asked = {"category": "linear", "symbol": "BTCUSDT", "intervalTime": "1d"}
    told = rows(app, "open-interest", **asked, endTime=SINGLE_SINCE_MS + DAY_MS, limit=4)
    assert [True, True, False, False] == ["singleOpenInterest" in r for r in told]


def test_open_interest_history_continues_at_its_cursor(app: SimApp) -> None:
    """The second page begins one interval before the last row of the first."""
    asked = {"category": "inverse", "symbol": "BTCUSD", "intervalTime": "5min", "limit": 3}
    first = ask(app, "open-interest", **asked)["result"]
    second = ask(app, "open-interest", **asked, cursor=first["nextPageCursor"])["result"]
    expected = int(first["list"][-1]["timestamp"]) - HOUR_MS // 12
    assert str(expected) == second["list"][0]["timestamp"]


def test_funding_history_is_what_was_settled(app: SimApp) -> None:
    """Newest first, one period apart, the rates the market settled."""
    told = rows(app, "funding/history", category="linear", symbol="1000PEPEUSDT", limit=4)
    pepe = listing(app, "1000PEPEUSDT")
    times = [int(r["fundingRateTimestamp"]) for r in told]
    period = pepe.period_hours * HOUR_MS
    assert [NOW - NOW % period - n * period for n in range(4)] == times
    assert [app.market.settled_funding(pepe, t) for t in times] == [
        float(r["fundingRate"]) for r in told
    ]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("tickers", {"category": "linear", "symbol": "NOSUCHUSDT"}),
        ("tickers", {}),
        ("tickers", {"category": "option"}),
        ("open-interest", {"category": "linear", "symbol": "BTCUSDT"}),
        ("funding/history", {"category": "linear", "symbol": "BTCUSDT", "startTime": NOW - DAY_MS}),
        ("funding/history", {"category": "spot", "symbol": "BTCUSDT"}),
    ],
)
def test_errors_are_told_inside_http_200(app: SimApp, path: str, query: Row) -> None:
    """A wrong question gets retCode 10001 and an empty result."""
    envelope = ask(app, path, **query)
    assert (10001, {}) == (envelope["retCode"], envelope["result"])


def test_unknown_path_is_a_404_in_bybits_envelope(app: SimApp) -> None:
    """A path that does not exist is the one thing that has an HTTP error."""
    found = app.reply("GET", HOST, "/v5/market/nothing", b"", b"")
    assert (404, 404) == (found.status, json.loads(found.body)["retCode"])


def test_spot_and_time_are_served(app: SimApp) -> None:
    """Spot tickers and pairs name the same symbols; the server's clock is the simulated one."""
    pairs = [r["symbol"] for r in rows(app, "instruments-info", category="spot")]
    spot = {r["symbol"]: r for r in rows(app, "tickers", category="spot")}
    assert pairs == list(spot)
    truth = app.market.perp(listing(app, "BTCUSDT", "spot"), NOW)
    assert truth.last == float(spot["BTCUSDT"]["lastPrice"])
    assert "" == spot["1INCHUSDT"]["usdIndexPrice"]
    assert str(NOW // 1000) == ask(app, "time")["result"]["timeSecond"]


@pytest.mark.parametrize(
    ("part", "path", "query"),
    [
        ("tickers?category=linear", "tickers", {"category": "linear", "symbol": "BTCUSDT"}),
        ("tickers?category=spot", "tickers", {"category": "spot", "symbol": "BTCUSDT"}),
        ("instruments-info?category=linear", "instruments-info", {"category": "linear"}),
        (
            "open-interest?category=linear",
            "open-interest",
            {"category": "linear", "symbol": "BTCUSDT", "intervalTime": "1h"},
        ),
        ("funding/history", "funding/history", {"category": "linear", "symbol": "BTCUSDT"}),
    ],
)
def test_rows_have_the_recorded_fields_and_types(
    app: SimApp, part: str, path: str, query: Row
) -> None:
    """Every field of a recorded row is there, as the same JSON type."""
    real = newest_recorded(part)["list"][0]
    ours = rows(app, path, **query)[0]
    assert {k: type(v) for k, v in real.items()} == {k: type(ours.get(k)) for k in real}
