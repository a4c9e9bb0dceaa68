"""The simulated coinbase, kraken and bitfinex tell the market's truth in their own shapes."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from mmflow_mcp.clock import DAY_MS, FixedClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.coinbase import QUIET
from mmflow_mcp.sim.market import Listing, Market

NOW = 1_795_490_745_000
RECORDED = Path(__file__).resolve().parents[1].parent / "shared" / "wire"
HOSTS = {
    "coinbase": "api.exchange.coinbase.com",
    "kraken": "api.kraken.com",
    "bitfinex": "api-pub.bitfinex.com",
}


@pytest.fixture(scope="module")
def app() -> SimApp:
    """One world for all tests of this file."""
    return SimApp(Market(1), FixedClock(NOW))


def ask(app: SimApp, venue: str, path: str, *, status: int = 200, **query: object) -> Any:
    """The document of an answer."""
    found = app.reply("GET", HOSTS[venue], path, urlencode(query).encode(), b"")
    assert status == found.status
    return json.loads(found.body)


def listing(app: SimApp, venue: str, symbol: str) -> Listing:
    """A listing of the market by its symbol."""
    return next(i for i in app.market.listings(venue, NOW) if i.symbol == symbol)


def recorded(venue: str, part: str) -> Any:
    """The newest recorded document whose address contains this part."""
    path = RECORDED / f"{venue}.har"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    entries = json.loads(path.read_text())["log"]["entries"]
    fitting = [e for e in entries if part in e["request"]["url"]]
    newest = max(fitting, key=lambda e: e["startedDateTime"])
    return json.loads(newest["response"]["content"]["text"])


def shape(row: dict[str, Any]) -> dict[str, type]:
    """Names and types of a row."""
    return {name: type(value) for name, value in row.items()}


class TestCoinbase:
    """Text numbers, the maker's side."""

    def test_rows_have_the_recorded_shapes(self, app: SimApp) -> None:
        """Names and types of a product, a ticker and the statistics are those of 2026."""
        real = recorded("coinbase", "coinbase.com/products")
        ours = ask(app, "coinbase", "/products")
        assert isinstance(ours, list)
        ticker = ask(app, "coinbase", "/products/BTC-USD/ticker")
        assert shape(recorded("coinbase", "com/products/BTC-USD/ticker")) == shape(ticker)
        stats = ask(app, "coinbase", "/products/BTC-USD/stats")
        assert (
            shape(recorded("coinbase", "/BTC-USD/stats")).items()
            >= shape({k: v for k, v in stats.items() if k != "rfq_volume"}).items()
        )
        assert isinstance(real, (list, dict))

    def test_a_ticker_is_the_markets(self, app: SimApp) -> None:
        """Price, book and 24 h volume in coins."""
        row = ask(app, "coinbase", "/products/ETH-USD/ticker")
        truth = app.market.perp(listing(app, "coinbase", "ETH-USD"), NOW)
        assert (truth.last, truth.bid, truth.ask) == tuple(
            float(row[name]) for name in ("price", "bid", "ask")
        )
        assert pytest.approx(truth.volume_coins, rel=1e-9) == float(row["volume"])

    def test_all_statistics_are_those_of_one(self, app: SimApp) -> None:
        """By product; what has gone is not in it."""
        every = ask(app, "coinbase", "/products/stats")
        alone = ask(app, "coinbase", "/products/BTC-USD/stats")
        assert every["BTC-USD"]["stats_24hour"]["open"] == alone["open"]
        assert "FTM-USD" not in every

    def test_a_quiet_product_shows_an_old_price(self, app: SimApp) -> None:
        """Half a percent off, a quarter of an hour ago."""
        (symbol,) = QUIET
        row = ask(app, "coinbase", f"/products/{symbol}/ticker")
        truth = app.market.perp(listing(app, "coinbase", symbol), NOW)
        assert pytest.approx(truth.last * 1.005, rel=1e-4) == float(row["price"])
        assert row["time"] < "2026-11-24T03:11"

    def test_the_tape_pages_by_number(self, app: SimApp) -> None:
        """Two pages of five are a page of ten; numbers fall, times do not rise."""
        path = "/products/BTC-USD/trades"
        ten = ask(app, "coinbase", path, limit=10)
        five = ask(app, "coinbase", path, limit=5)
        more = ask(app, "coinbase", path, limit=5, after=five[-1]["trade_id"])
        assert ten == five + more
        numbers = [row["trade_id"] for row in ten]
        assert numbers == sorted(numbers, reverse=True)
        times = [row["time"] for row in ten]
        assert times == sorted(times, reverse=True)

    def test_errors_are_its_own(self, app: SimApp) -> None:
        """Unknown products, delisted ones and other paths."""
        for path in ("/products/NO-USD/ticker", "/products/FTM-USD/ticker", "/nothing"):
            assert {"message": "NotFound"} == ask(app, "coinbase", path, status=404)
        assert "message" in ask(
            app, "coinbase", "/products/BTC-USD/trades", status=400, limit="many"
        )


class TestKraken:
    """Keys, altnames and readable names."""

    def test_a_pair_has_the_recorded_shape(self, app: SimApp) -> None:
        """Names of 2025 that we tell have its types."""
        real = recorded("kraken", "AssetPairs")["result"]["XBTUSDT"]
        ours = ask(app, "kraken", "/0/public/AssetPairs")["result"]["XBTUSDT"]
        assert shape(ours).items() <= shape(real).items()

    def test_a_ticker_has_the_recorded_shape(self, app: SimApp) -> None:
        """Arrays of text, a list of two counts, `o` a text."""
        (real,) = recorded("kraken", "Ticker")["result"].values()
        (ours,) = ask(app, "kraken", "/0/public/Ticker", pair="XBTUSD")["result"].values()
        assert shape(real) == shape(ours)

    def test_the_answer_comes_under_the_key(self, app: SimApp) -> None:
        """Asked as XBTUSD or XXBTZUSD, answered as XXBTZUSD."""
        for name in ("XBTUSD", "XXBTZUSD"):
            result = ask(app, "kraken", "/0/public/Ticker", pair=name)["result"]
            assert ["XXBTZUSD"] == list(result)

    def test_the_open_is_of_midnight(self, app: SimApp) -> None:
        """And not the price 24 h ago."""
        item = listing(app, "kraken", "XXBTZUSD")
        row = ask(app, "kraken", "/0/public/Ticker", pair="XBTUSD")["result"]["XXBTZUSD"]
        assert app.market.perp(item, NOW - NOW % DAY_MS).last == float(row["o"])
        assert app.market.perp(item, NOW).open_24h != float(row["o"])
        assert float(row["v"][0]) < float(row["v"][1])

    def test_candles_hold_the_day_before(self, app: SimApp) -> None:
        """720 of 5 minutes, ascending, the running one last; a candle opens at the mark."""
        answer = ask(app, "kraken", "/0/public/OHLC", pair="XXBTZUSD", interval=5)["result"]
        rows = answer["XXBTZUSD"]
        times = [row[0] for row in rows]
        assert list(range(times[0], times[0] + 720 * 300, 300)) == times
        assert NOW // 1000 - times[-1] < 300
        item = listing(app, "kraken", "XXBTZUSD")
        assert app.market.held(item, times[100] * 1000)[1] == float(rows[100][1])
        assert [rows[i][4] for i in range(719)] == [rows[i + 1][1] for i in range(719)]

    def test_errors_come_with_http_200(self, app: SimApp) -> None:
        """An unknown pair takes the others with it."""
        told = ask(app, "kraken", "/0/public/Ticker", pair="XBTUSD,NOUSD")
        assert {"error": ["EQuery:Unknown asset pair"]} == told
        assert ["EGeneral:Unknown method"] == ask(app, "kraken", "/0/public/Nothing")["error"]

    def test_the_whole_market_has_no_halted_pair(self, app: SimApp) -> None:
        """Without `pair` every live one."""
        result = ask(app, "kraken", "/0/public/Ticker")["result"]
        assert "FTMUSD" not in result
        assert {"XXBTZUSD", "XDGUSD", "LUNAUSD", "USDTZUSD"} <= result.keys()


class TestKrakenFutures:
    """Numbers, and money per hour."""

    HOST = "futures.kraken.com"

    def rows(self, app: SimApp, name: str) -> dict[str, Any]:
        """The rows of a list by symbol."""
        found = app.reply("GET", self.HOST, f"/derivatives/api/v3/{name}", b"", b"")
        told = json.loads(found.body)
        assert "success" == told["result"]
        return {row["symbol"]: row for row in told[name]}

    def test_a_ticker_has_the_recorded_shape(self, app: SimApp) -> None:
        """Names of 2026 but for the mean price; numbers are numbers."""
        path = RECORDED / "krakenfutures.har"
        if not path.exists():
            pytest.skip("the recordings are not on this machine")
        entries = json.loads(path.read_text())["log"]["entries"]
        tickers = [e for e in entries if e["request"]["url"].endswith("v3/tickers")]
        newest = max(tickers, key=lambda e: e["startedDateTime"])
        (_, real) = json.loads(newest["response"]["content"]["text"])["tickers"]
        ours = self.rows(app, "tickers")["PF_XBTUSD"]
        assert real.keys() - {"vwap24h"} == ours.keys()
        text = {"symbol", "lastTime", "tag", "pair", "suspended", "postOnly"}
        assert all(isinstance(ours[name], (int, float)) for name in ours.keys() - text)

    def test_a_rate_is_money(self, app: SimApp) -> None:
        """Dollars per coin of a linear contract, coins per dollar of an inverse one."""
        rows = self.rows(app, "tickers")
        for symbol in ("PF_XBTUSD", "PI_XBTUSD"):
            truth = app.market.perp(listing(app, "kraken", symbol), NOW)
            told = rows[symbol]["fundingRate"]
            index = rows[symbol]["indexPrice"]
            fraction = told / index if symbol.startswith("PF") else told * index
            assert pytest.approx(truth.funding_rate, rel=1e-12) == fraction
            assert truth.open_interest == rows[symbol]["openInterest"]

    def test_traps_are_listed(self, app: SimApp) -> None:
        """Dated contracts, a stock, a currency, one that no longer trades, index rows."""
        contracts, tickers = self.rows(app, "instruments"), self.rows(app, "tickers")
        assert {"PF_TSLAxUSD", "PF_EURUSD", "PF_FTMUSD"} <= contracts.keys()
        assert contracts["PF_FTMUSD"]["tradeable"] is False
        assert "perpetual" != next(r for s, r in tickers.items() if s.startswith("FI_"))["tag"]
        assert "tag" not in tickers["in_xbtusd"]

    def test_errors_come_with_http_200(self, app: SimApp) -> None:
        """In the words of this host."""
        found = app.reply("GET", self.HOST, "/nothing", b"", b"")
        assert (200, "error") == (found.status, json.loads(found.body)["result"])


class TestBitfinex:
    """Arrays."""

    def test_rows_have_the_recorded_shape(self, app: SimApp) -> None:
        """Eleven members of a market, numbers but for the first."""
        rows = ask(app, "bitfinex", "/v2/tickers", symbols="ALL")
        real = recorded("bitfinex", "symbols=ALL")[0]
        markets = [row for row in rows if row[0].startswith("t")]
        assert {len(real)} == {len(row) for row in markets}
        assert all(isinstance(value, (int, float)) for row in markets for value in row[1:])
        assert {17} == {len(row) for row in rows if row[0].startswith("f")}

    def test_a_ticker_is_the_markets(self, app: SimApp) -> None:
        """Bid, ask, last, volume in coins, and the change as a fraction."""
        rows = {row[0]: row for row in ask(app, "bitfinex", "/v2/tickers", symbols="ALL")}
        truth = app.market.perp(listing(app, "bitfinex", "tLUNA:USD"), NOW)
        assert "LUNC" == truth.listing.coin
        row = rows["tLUNA:USD"]
        assert (truth.bid, truth.ask, truth.last, truth.volume_coins) == (
            row[1],
            row[3],
            row[7],
            row[8],
        )
        assert pytest.approx(truth.last / truth.open_24h - 1, abs=1e-8) == row[6]

    def test_unknown_symbols_are_left_out(self, app: SimApp) -> None:
        """No symbols at all is an error in an array."""
        rows = ask(app, "bitfinex", "/v2/tickers", symbols="tBTCUSD,tNOUSD")
        assert ["tBTCUSD"] == [row[0] for row in rows]
        assert "error" == ask(app, "bitfinex", "/v2/tickers", status=500)[0]
        assert {"error": "Not found"} == ask(app, "bitfinex", "/v2/nothing", status=404)


def test_venues_with_spot_alone_are_not_venues_of_perpetuals() -> None:
    """The market's venues are those with perpetuals."""
    assert not {"coinbase", "bitfinex"} & set(Market(1).venues())
