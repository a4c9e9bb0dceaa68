"""The simulated lighter tells the market's truth in lighter's units, types and errors."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from mmflow_mcp.clock import DAY_MS, HOUR_MS, FixedClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import Listing, Market

NOW = 1_795_490_745_000
HOST = "mainnet.zklighter.elliot.ai"
RECORDED = Path(__file__).resolve().parents[1].parent / "shared" / "wire" / "lighter.har"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return SimApp(Market(1), FixedClock(NOW))


def ask(app: SimApp, path: str, **query: object) -> Row:
    """The envelope of a good answer."""
    found = app.reply("GET", HOST, f"/api/v1/{path}", urlencode(query).encode(), b"")
    envelope: Row = json.loads(found.body)
    assert (200, 200) == (found.status, envelope["code"])
    return envelope


def listing(app: SimApp, symbol: str) -> Listing:
    """A listing of the market by its symbol."""
    return next(i for i in app.market.listings("lighter", NOW) if i.symbol == symbol)


def perps(app: SimApp) -> dict[str, Row]:
    """Perpetuals of orderBookDetails by symbol."""
    return {r["symbol"]: r for r in ask(app, "orderBookDetails")["order_book_details"]}


@pytest.mark.parametrize(("symbol", "many"), [("ETH", 1), ("BTC", 1), ("1000PEPE", 1000)])
def test_open_interest_is_a_number_in_symbol_units(app: SimApp, symbol: str, many: int) -> None:
    """open_interest x mark_price is the USD, x the multiplier of the name the coins."""
    row = perps(app)[symbol]
    assert (float, str) == (type(row["open_interest"]), type(row["mark_price"]))
    truth = app.market.open_interest("lighter", listing(app, symbol).coin, NOW)
    usd = row["open_interest"] * float(row["mark_price"])
    assert pytest.approx(truth) == (usd, row["open_interest"] * many)


def test_eth_is_market_0_and_spot_begins_at_2048(app: SimApp) -> None:
    """Perpetuals are numbered from 0, spot from 2048; the numbers are unique."""
    told = ask(app, "orderBookDetails")
    numbers = {r["symbol"]: r["market_id"] for r in told["order_book_details"]}
    spot = {r["symbol"]: r["market_id"] for r in told["spot_order_book_details"]}
    assert (0, 1) == (numbers["ETH"], numbers["BTC"])
    assert {"ETH/USDC": 2048, "BTC/USDC": 2049, "HYPE/USDC": 2050} == spot
    assert len(numbers) == len({*numbers.values()})
    assert max(numbers.values()) < 255


def test_inactive_rows_keep_their_open_interest(app: SimApp) -> None:
    """A delisted market stays in the list with its last open interest and without funding."""
    row = perps(app)["FTM"]
    assert "inactive" == row["status"]
    assert row["open_interest"] > 0
    assert app.market.open_interest("lighter", "FTM", NOW) is None
    assert "FTM" not in {r["symbol"] for r in ask(app, "funding-rates")["funding_rates"]}
    window = {"start_timestamp": NOW - DAY_MS, "end_timestamp": NOW, "count_back": 0}
    asked = ask(app, "fundings", market_id=row["market_id"], resolution="1h", **window)
    assert asked["fundings"] is None


def test_stocks_and_currencies_have_trading_hours_only(app: SimApp) -> None:
    """WEN and BB are companies here; nothing but trading_hours hints at it."""
    told = perps(app)
    hours = {name: row["market_config"]["trading_hours"] for name, row in told.items()}
    assert {"TSLA", "NVDA", "WEN", "BB", "QNT", "XAU", "EURUSD"} == {n for n in hours if hours[n]}
    assert told["BTC"].keys() == told["WEN"].keys()


def test_funding_rates_hold_rows_of_other_exchanges(app: SimApp) -> None:
    """Lighter's rate is the market's per 8 hours; the others' are brought to 8 hours."""
    told = ask(app, "funding-rates")["funding_rates"]
    btc = {r["exchange"]: r["rate"] for r in told if r["symbol"] == "BTC"}
    assert {"binance", "bybit", "hyperliquid", "lighter"} == btc.keys()
    assert app.market.perp(listing(app, "BTC"), NOW).funding_rate == btc["lighter"]
    other = app.market.funding("hyperliquid", "BTC", NOW)
    assert other is not None
    assert pytest.approx(other.funding_rate * 8) == btc["hyperliquid"]
    own = {r["symbol"] for r in told if r["exchange"] == "lighter"}
    assert {name for name, row in perps(app).items() if row["status"] == "active"} == own


@pytest.mark.parametrize("unit", [1, 1000])
def test_fundings_are_unsigned_percent_per_hour(app: SimApp, unit: int) -> None:
    """Percent x 8 / 100, negative when shorts pay, is what the market settled; ascending."""
    signs = set()
    for symbol in ("ETH", "BTC", "XRP", "1000PEPE"):
        asked = {"market_id": perps(app)[symbol]["market_id"], "resolution": "1h"}
        end = (NOW - NOW % HOUR_MS) // unit
        window = {"start_timestamp": end - 36 * HOUR_MS // unit, "end_timestamp": end}
        told = ask(app, "fundings", **asked, **window, count_back=0)["fundings"]
        expected = range(NOW - NOW % HOUR_MS - 36 * HOUR_MS, NOW - NOW % HOUR_MS, HOUR_MS)
        assert [t // 1000 for t in expected] == [r["timestamp"] for r in told]
        for row in told:
            sign = {"long": 1, "short": -1}[row["direction"]]
            settled = app.market.settled_funding(listing(app, symbol), row["timestamp"] * 1000)
            assert pytest.approx(settled) == sign * float(row["rate"]) / 100 * 8
            assert float(row["rate"]) >= 0
            signs.add(sign)
    assert {1, -1} == signs


def test_fundings_count_back_from_the_end(app: SimApp) -> None:
    """count_back limits the rows to the newest; a page has at most 750."""
    asked = {"market_id": 0, "resolution": "1h", "start_timestamp": 0, "end_timestamp": NOW}
    few = ask(app, "fundings", **asked, count_back=3)["fundings"]
    many = ask(app, "fundings", **asked, count_back=0)["fundings"]
    assert few == many[-3:]
    assert 750 == len(many)


def test_days_are_the_sum_of_their_hours(app: SimApp) -> None:
    """A row of resolution 1d adds up what the hours of a day charged."""
    start = NOW - NOW % DAY_MS - DAY_MS
    asked = {"market_id": 1, "start_timestamp": start, "count_back": 0}
    (day,) = ask(app, "fundings", **asked, resolution="1d", end_timestamp=start + DAY_MS)[
        "fundings"
    ]
    hours = ask(app, "fundings", **asked, resolution="1h", end_timestamp=start + DAY_MS)["fundings"]
    total = sum({"long": 1, "short": -1}[h["direction"]] * float(h["rate"]) for h in hours)
    assert 24 == len(hours)
    assert pytest.approx(abs(total)) == float(day["rate"])


def test_one_market_is_asked_by_its_number(app: SimApp) -> None:
    """market_id cuts the details to one row, of a perpetual or of spot."""
    one = ask(app, "orderBookDetails", market_id=1)
    assert (["BTC"], []) == (
        [r["symbol"] for r in one["order_book_details"]],
        one["spot_order_book_details"],
    )
    spot = ask(app, "orderBookDetails", market_id=2048)
    assert ["ETH/USDC"] == [r["symbol"] for r in spot["spot_order_book_details"]]


def test_stats_sum_up_the_day(app: SimApp) -> None:
    """There is a row of exchangeStats per market, and their volumes add up."""
    told = ask(app, "exchangeStats")
    rows = told["order_book_stats"]
    assert (len(app.market.listings("lighter", NOW)), len(rows)) == (told["total"], told["total"])
    assert (
        pytest.approx(sum(r["daily_quote_token_volume"] for r in rows)) == told["daily_usd_volume"]
    )


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("orderBookDetails", {"market_id": 254}),
        ("orderBookDetails", {"market_id": "ETH"}),
        ("fundings", {"market_id": 0}),
        ("fundings", {"market_id": 2048, "resolution": "1h"}),
        ("fundings", {"market_id": 0, "resolution": "1h", "start_timestamp": 0}),
    ],
)
def test_errors_are_http_400_with_code_20001(app: SimApp, path: str, query: Row) -> None:
    """A wrong question gets HTTP 400 and lighter's code for a bad parameter."""
    found = app.reply("GET", HOST, f"/api/v1/{path}", urlencode(query).encode(), b"")
    assert (400, 20001) == (found.status, json.loads(found.body)["code"])


def test_the_root_tells_the_time(app: SimApp) -> None:
    """The status at the root has the server's clock in seconds."""
    found = app.reply("GET", HOST, "/", b"", b"")
    assert (200, NOW // 1000) == (found.status, json.loads(found.body)["timestamp"])


def test_unknown_path_is_a_404_in_lighters_envelope(app: SimApp) -> None:
    """A path that does not exist answers 404 with code and message."""
    found = app.reply("GET", HOST, "/api/v1/nothing", b"", b"")
    assert (404, {"code", "message"}) == (found.status, json.loads(found.body).keys())


@pytest.mark.parametrize(
    ("part", "path", "table", "query"),
    [
        ("orderBookDetails?market_id=0", "orderBookDetails", "order_book_details", {}),
        ("orderBooks", "orderBooks", "order_books", {}),
        ("funding-rates", "funding-rates", "funding_rates", {}),
        ("exchangeStats", "exchangeStats", "order_book_stats", {}),
    ],
)
def test_rows_have_the_recorded_fields_and_types(
    app: SimApp, part: str, path: str, table: str, query: Row
) -> None:
    """Every field of a recorded row but the two switches is there; numbers stay numbers."""
    if not RECORDED.exists():
        pytest.skip("the recordings are not on this machine")
    entries = json.loads(RECORDED.read_text())["log"]["entries"]
    real = next(e for e in entries if part in e["request"]["url"])["response"]["content"]["text"]
    row = json.loads(real)[table][0]
    ours = ask(app, path, **query)[table][0]
    unserved = {"is_taker_fee_enabled", "is_maker_fee_enabled"}

    def kind(value: object) -> type:
        return float if type(value) is int else type(value)

    expected = {k: kind(v) for k, v in row.items() if k not in unserved}
    assert expected == {k: kind(ours.get(k)) for k in expected}
