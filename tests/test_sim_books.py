"""The simulated candles and books have their venues' order, units, limits and errors."""

from typing import Any

import pytest
from sim_shapes import NOW, get, get_json, listing_of, make_app

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.bars import MINUTE_MS, bar

BYBIT, OKX, GATE, DERIBIT = "api.bybit.com", "www.okx.com", "api.gateio.ws", "www.deribit.com"
CHART = "/api/v2/public/get_tradingview_chart_data"
MIDNIGHT = NOW // DAY_MS * DAY_MS


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return make_app()


def bybit(app: SimApp, path: str, **query: object) -> Any:
    """The answer of bybit, whatever it says."""
    return get_json(app, BYBIT, f"/v5/market/{path}", **query)


def okx(app: SimApp, path: str, **query: object) -> Any:
    """The answer of okx, whatever it says."""
    return get_json(app, OKX, f"/api/v5/market/{path}", **query)


def test_bybit_tells_the_newest_candles_first_and_200_by_default(app: SimApp) -> None:
    """At most 1,000; `start` and `end` belong to the span."""
    asked = {"category": "linear", "symbol": "BTCUSDT", "interval": "1"}
    rows = bybit(app, "kline", **asked)["result"]["list"]
    openings = [int(row[0]) for row in rows]
    last = NOW // MINUTE_MS * MINUTE_MS
    assert [last - n * MINUTE_MS for n in range(200)] == openings
    assert 1000 == len(bybit(app, "kline", **asked, limit=5000)["result"]["list"])
    span = {"start": last - 3 * MINUTE_MS, "end": last - MINUTE_MS}
    rows = bybit(app, "kline", **asked, **span)["result"]["list"]
    assert [last - n * MINUTE_MS for n in (1, 2, 3)] == [int(row[0]) for row in rows]


def test_bybit_swaps_volume_and_turnover_on_inverse_contracts(app: SimApp) -> None:
    """USD then coins; on linear ones coins then USD."""
    for category, symbol, coins_at in (("linear", "BTCUSDT", 5), ("inverse", "BTCUSD", 6)):
        asked = {"category": category, "symbol": symbol, "interval": "D", "limit": 1}
        ((*row,),) = bybit(app, "kline", **asked)["result"]["list"]
        truth = bar(app.market, listing_of(app, "bybit", symbol), MIDNIGHT, DAY_MS, NOW)
        assert truth is not None
        assert truth.units == float(row[coins_at])
        assert truth.turnover == float(row[11 - coins_at])


@pytest.mark.parametrize(
    "query",
    [
        {"category": "linear", "symbol": "NOSUCH", "interval": "1"},
        {"category": "linear", "symbol": "BTCUSDT", "interval": "7"},
        {"category": "futures", "symbol": "BTCUSDT", "interval": "1"},
        {"category": "linear", "symbol": "BTCUSDT", "interval": "1", "start": "x"},
    ],
)
def test_bybit_refuses_with_a_code(app: SimApp, query: dict[str, str]) -> None:
    """HTTP 200 and 10001."""
    assert 10001 == bybit(app, "kline", **query)["retCode"]


def test_okx_days_begin_at_16_utc_unless_asked_in_utc(app: SimApp) -> None:
    """1D is on the clock of UTC+8; hours are the same on both."""
    asked = {"instId": "BTC-USDT-SWAP", "limit": 3}
    for spelled, hour in (("1D", 16), ("1Dutc", 0), ("6H", 4), ("6Hutc", 0)):
        rows = okx(app, "candles", **asked, bar=spelled)["data"]
        hours = {int(row[0]) // HOUR_MS % (6 if spelled[0] == "6" else 24) for row in rows}
        assert {hour} == hours, spelled
    assert "51000" == okx(app, "candles", **asked, bar="1Hutc")["code"]
    assert "51000" == okx(app, "candles", **asked, bar="7m")["code"]


def test_okx_after_is_older_before_is_newer_and_both_are_outside(app: SimApp) -> None:
    """The newest `limit` of them, 300 at most; only the newest one is not confirmed."""
    last = NOW // HOUR_MS * HOUR_MS
    asked = {"instId": "BTC-USDT-SWAP", "bar": "1H"}
    rows = okx(app, "candles", **asked, after=last, before=last - 3 * HOUR_MS)["data"]
    assert [last - HOUR_MS, last - 2 * HOUR_MS] == [int(row[0]) for row in rows]
    rows = okx(app, "candles", **asked, limit=1000)["data"]
    assert (300, last) == (len(rows), int(rows[0][0]))
    assert ["0", *["1"] * 299] == [row[8] for row in rows]


def test_okx_keeps_1440_candles_and_has_another_path_for_the_rest(app: SimApp) -> None:
    """What is older comes from the history, which has no running candle."""
    last = NOW // HOUR_MS * HOUR_MS
    asked = {"instId": "BTC-USDT-SWAP", "bar": "1H", "after": last - 1500 * HOUR_MS}
    assert [] == okx(app, "candles", **asked)["data"]
    rows = okx(app, "history-candles", **asked)["data"]
    assert (100, last - 1501 * HOUR_MS) == (len(rows), int(rows[0][0]))
    newest = okx(app, "history-candles", instId="BTC-USDT-SWAP", bar="1H")["data"][0]
    assert (last - HOUR_MS, "1") == (int(newest[0]), newest[8])


def test_okx_counts_contracts_and_coins(app: SimApp) -> None:
    """Contracts of 0.01 BTC, or of 100 USD; the seventh member is coins on both."""
    for symbol in ("BTC-USDT-SWAP", "BTC-USD-SWAP"):
        listing = listing_of(app, "okx", symbol)
        truth = bar(app.market, listing, MIDNIGHT, DAY_MS, NOW)
        assert truth is not None
        row = okx(app, "candles", instId=symbol, bar="1Dutc", limit=1)["data"][0]
        assert (truth.units, truth.turnover) == (float(row[6]), float(row[7]))
        whole = truth.turnover if listing.margin == "inverse" else truth.units
        assert pytest.approx(whole, rel=1e-9) == float(row[5]) * listing.contract_size


@pytest.mark.parametrize("symbol", ["FTM-USDT-SWAP", "MOG-USDT-SWAP", "NOSUCH-USDT-SWAP"])
def test_okx_knows_no_chart_of_what_does_not_trade(app: SimApp, symbol: str) -> None:
    """Suspended, before its opening, unknown: 51001. A depth beyond 400: 51000."""
    assert "51001" == okx(app, "candles", instId=symbol)["code"]
    assert "51001" == okx(app, "books", instId=symbol)["code"]
    assert "51000" == okx(app, "books", instId="BTC-USDT-SWAP", sz=401)["code"]


def test_gate_refuses_what_is_too_old_too_much_or_said_twice(app: SimApp) -> None:
    """10,000 intervals, 2,000 candles, and a limit beside from and to."""
    path, now = "/api/v4/futures/usdt/candlesticks", NOW // 60_000 * 60
    asked: dict[str, object] = {"contract": "BTC_USDT", "interval": "1m"}

    def said(**more: object) -> str:
        found = get(app, GATE, path, **asked, **more)
        return found.body.decode() if found.status == 400 else str(found.status)

    assert "Maximum 10000 points recently" in said(**{"from": now - 10_001 * 60, "to": now})
    assert "range too broad" in said(**{"from": now - 2000 * 60, "to": now})
    assert "conflicts" in said(**{"from": now - 60, "limit": 2})
    assert "200" == said(**{"from": now - 1999 * 60, "to": now})
    rows = get_json(app, GATE, path, **asked)
    assert [now - 60 * n for n in reversed(range(100))] == [row["t"] for row in rows]


def test_gate_counts_whole_contracts(app: SimApp) -> None:
    """Of 0.0001 BTC in USDT; USD of the inverse contract, whose sum is the same number."""
    for settle, symbol in (("usdt", "BTC_USDT"), ("btc", "BTC_USD")):
        path = f"/api/v4/futures/{settle}/candlesticks"
        row = get_json(app, GATE, path, contract=symbol, interval="1d", limit=1)[0]
        truth = bar(app.market, listing_of(app, "gateio", symbol), MIDNIGHT, DAY_MS, NOW)
        assert truth is not None
        inverse = symbol == "BTC_USD"
        assert round(truth.turnover if inverse else truth.units * 10_000) == row["v"]
        assert (float(row["v"]) if inverse else truth.turnover) == float(row["sum"])


def test_deribit_has_no_four_hours_and_says_no_data(app: SimApp) -> None:
    """240 is refused; a span without a candle has a status of its own."""
    asked: dict[str, object] = {"instrument_name": "BTC-PERPETUAL"}
    asked |= {"start_timestamp": NOW - DAY_MS, "end_timestamp": NOW}
    assert 400 == get(app, DERIBIT, CHART, **asked, resolution="240").status
    hours = get_json(app, DERIBIT, CHART, **asked, resolution="60")["result"]
    assert ("ok", 24) == (hours["status"], len(hours["ticks"]))
    assert {24} == {len(column) for name, column in hours.items() if name != "status"}
    later = asked | {"start_timestamp": NOW + DAY_MS, "end_timestamp": NOW + 2 * DAY_MS}
    assert "no_data" == get_json(app, DERIBIT, CHART, **later, resolution="60")["result"]["status"]


def test_deribit_books_are_in_steps_of_a_contract(app: SimApp) -> None:
    """USD in tens; only some depths are known."""
    path, asked = "/api/v2/public/get_order_book", {"instrument_name": "BTC-PERPETUAL"}
    book = get_json(app, DERIBIT, path, **asked, depth=20)["result"]
    assert (20, 20) == (len(book["bids"]), len(book["asks"]))
    assert {0} == {amount % 10 for _, amount in (*book["bids"], *book["asks"])}
    assert 400 == get(app, DERIBIT, path, **asked, depth=7).status
    assert 400 == get(app, DERIBIT, path, instrument_name="NOSUCH").status
