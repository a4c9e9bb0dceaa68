"""Simulated candles and books: the venues' own limits, errors and quirks."""

import json
from typing import Any

import pytest
from sim_shapes import (
    NOW,
    check_types,
    get,
    get_json,
    listing_of,
    make_app,
    post_json,
    recorded,
    type_of,
)

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.bars import MINUTE_MS, bars

FAPI = {"binance": "fapi.binance.com", "aster": "fapi.asterdex.com"}
INFO = ("api.hyperliquid.xyz", "/info")
EXCHANGE, ADVANCED = "api.exchange.coinbase.com", "api.coinbase.com"
BOOK = "/api/v3/brokerage/market/product_book"
HOUR = NOW - NOW % HOUR_MS


@pytest.fixture(scope="module")
def app() -> SimApp:
    """A world whose time stands."""
    return make_app()


def types_of(row: list[Any]) -> list[str]:
    """The JSON types of an array."""
    return [type_of(value) for value in row]


def test_candles_of_different_lengths_agree(app: SimApp) -> None:
    """Opens and closes always, highs and lows from half an hour to four hours."""
    item = listing_of(app, "bybit", "BTCUSDT")
    start, length = HOUR - HOUR % (4 * HOUR_MS) - 8 * HOUR_MS, 4 * HOUR_MS
    (whole,) = bars(app.market, item, start, start + 1, length, NOW)
    for minutes in (1, 5, 15, 30, 60):
        parts = bars(app.market, item, start, start + length, minutes * MINUTE_MS, NOW)
        assert 240 // minutes == len(parts)
        assert (whole.open, whole.close) == (parts[0].open, parts[-1].close)
        assert [one.close for one in parts[:-1]] == [one.open for one in parts[1:]]
        if minutes >= 30:
            extremes = max(one.high for one in parts), min(one.low for one in parts)
            assert (whole.high, whole.low) == extremes


@pytest.mark.parametrize("venue", FAPI)
class TestFapi:
    """Klines and depth of binance and aster."""

    def test_klines_are_told_as_they_are_really(self, app: SimApp, venue: str) -> None:
        """Twelve members of the same types."""
        rows = get_json(app, FAPI[venue], "/fapi/v1/klines", symbol="BTCUSDT", interval="5m")
        assert 500 == len(rows)
        real = recorded(venue, "/klines?", "interval=5m", FAPI[venue])
        assert types_of(real[0]) == types_of(rows[0])

    def test_with_a_start_the_oldest_without_the_newest(self, app: SimApp, venue: str) -> None:
        """`endTime` is inclusive, of the opening; the running candle closes in the future."""
        asked = {"symbol": "BTCUSDT", "interval": "1h", "limit": 3}
        rows = get_json(app, FAPI[venue], "/fapi/v1/klines", **asked, startTime=HOUR - 9 * HOUR_MS)
        assert [HOUR - n * HOUR_MS for n in (9, 8, 7)] == [row[0] for row in rows]
        rows = get_json(app, FAPI[venue], "/fapi/v1/klines", **asked)
        assert [HOUR - n * HOUR_MS for n in (2, 1, 0)] == [row[0] for row in rows]
        assert rows[-1][6] > NOW
        rows = get_json(app, FAPI[venue], "/fapi/v1/klines", **asked, endTime=HOUR - HOUR_MS)
        assert HOUR - HOUR_MS == rows[-1][0]

    def test_pages_end_at_1500(self, app: SimApp, venue: str) -> None:
        """However many are asked for; they weigh 10."""
        asked = {"symbol": "ETHUSDT", "interval": "1m", "limit": 9999}
        rows = get_json(app, FAPI[venue], "/fapi/v1/klines", **asked)
        assert 1500 == len(rows)

    def test_errors_are_the_venues(self, app: SimApp, venue: str) -> None:
        """An unknown symbol, a length that there is not, a depth that there is not."""
        for path, query, code in (
            ("klines", {"symbol": "NOUSDT", "interval": "1h"}, b"-1121"),
            ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, b"-1120"),
            ("depth", {"symbol": "NOUSDT"}, b"-1121"),
            ("depth", {"symbol": "BTCUSDT", "limit": 7}, b"-4021"),
        ):
            found = get(app, FAPI[venue], f"/fapi/v1/{path}", **query)
            assert (400, True) == (found.status, code in found.body), path

    def test_depth_is_told_as_it_is_really(self, app: SimApp, venue: str) -> None:
        """Text in pairs, bids first from the best, `T` before `E`."""
        book = get_json(app, FAPI[venue], "/fapi/v1/depth", symbol="BTCUSDT", limit=5)
        assert (5, True) == (len(book["asks"]), book["T"] < book["E"])
        assert float(book["bids"][0][0]) > float(book["bids"][1][0])
        assert float(book["bids"][0][0]) < float(book["asks"][0][0]) < float(book["asks"][1][0])
        real = recorded(venue, "/depth?", FAPI[venue])
        check_types(real, book)
        assert types_of(real["bids"][0]) == types_of(book["bids"][0])


class TestHyperliquid:
    """candleSnapshot and l2Book."""

    def asked(self, **req: Any) -> dict[str, Any]:
        """A question about candles."""
        return {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1h", **req}}

    def test_candles_are_told_as_they_are_really(self, app: SimApp) -> None:
        """The one that holds the start comes along."""
        body = self.asked(startTime=HOUR - HOUR_MS + 1, endTime=NOW)
        rows = post_json(app, *INFO, body)
        assert [HOUR - HOUR_MS, HOUR] == [row["t"] for row in rows]
        check_types(recorded("hyperliquid", "candleSnapshot")[0], rows[0])

    @pytest.mark.parametrize(
        "body",
        [
            {"type": "candleSnapshot"},
            {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "7m", "startTime": 0}},
            {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1h"}},
            {"type": "l2Book"},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 9},
        ],
    )
    def test_a_malformed_question_is_422(self, app: SimApp, body: dict[str, Any]) -> None:
        """No market, no such length, no start, no such precision."""
        assert 422 == app.reply("POST", *INFO, b"", json.dumps(body).encode()).status

    def test_a_book_has_20_levels(self, app: SimApp) -> None:
        """Fewer figures reach further, in sums of what lies between."""
        fine = post_json(app, *INFO, {"type": "l2Book", "coin": "BTC"})
        coarse = post_json(app, *INFO, {"type": "l2Book", "coin": "BTC", "nSigFigs": 3})
        assert [20, 20] == [len(side) for side in fine["levels"]]
        bids = [[float(level["px"]) for level in one["levels"][0]] for one in (fine, coarse)]
        assert bids[1][-1] < bids[0][-1]
        assert {0} == {price % 100 for price in bids[1]}
        sizes = [float(one["levels"][0][0]["sz"]) for one in (fine, coarse)]
        assert sizes[0] < sizes[1]
        check_types(recorded("hyperliquid", '"l2Book","coin":"BTC"}'), fine)


class TestCoinbase:
    """Candles of the Exchange, books of Advanced Trade."""

    PATH = "/products/BTC-USD/candles"

    def test_low_and_high_come_first_and_the_newest_too(self, app: SimApp) -> None:
        """Without a window the last 300; an older one comes along with a short window."""
        rows = get_json(app, EXCHANGE, self.PATH, granularity=3600)
        assert (300, HOUR // 1000) == (len(rows), rows[0][0])
        assert all(low <= min(o, c) <= max(o, c) <= high for _, low, high, o, c, _ in rows)
        window = {"start": "2026-11-24T00:00:00Z", "end": "2026-11-24T01:00:00Z"}
        rows = get_json(app, EXCHANGE, self.PATH, granularity=3600, **window)
        assert [HOUR // 1000 - n * 3600 for n in (1, 2, 3)] == [row[0] for row in rows]
        assert types_of(recorded("coinbase", "/candles")[0]) == types_of(rows[0])

    def test_what_is_too_much_is_refused(self, app: SimApp) -> None:
        """301 candles, lengths that there are not, times that are none."""
        first = HOUR // 1000 - 300 * 3600
        for query, said in (
            ({"granularity": 3600, "start": first, "end": HOUR // 1000}, b"exceeds"),
            ({"granularity": 1800}, b"Unsupported granularity"),
            ({"granularity": 14400}, b"Unsupported granularity"),
            ({"granularity": 60, "start": "noon", "end": "now"}, b"valid timestamps"),
        ):
            found = get(app, EXCHANGE, self.PATH, **query)
            assert (400, True) == (found.status, said in found.body)
        ok = {"granularity": 3600, "start": first + 3600, "end": HOUR // 1000}
        assert 300 == len(get_json(app, EXCHANGE, self.PATH, **ok))

    def test_a_book_is_as_deep_as_asked(self, app: SimApp) -> None:
        """Objects and an ISO time; an unknown product is an error of Advanced Trade's."""
        told = get_json(app, ADVANCED, BOOK, product_id="BTC-USD", limit=7)
        assert [7, 7] == [len(told["pricebook"][side]) for side in ("bids", "asks")]
        assert 404 == get(app, ADVANCED, BOOK, product_id="NO-USD").status
        assert b"NOT_FOUND" in get(app, ADVANCED, BOOK, product_id="NO-USD").body
        assert 400 == get(app, ADVANCED, BOOK, product_id="BTC-USD", limit="x").status
        real = recorded("coinbase", "product_book")
        check_types(real, told)
        check_types(real["pricebook"], told["pricebook"])
        check_types(real["pricebook"]["bids"][0], told["pricebook"]["bids"][0])


class TestKraken:
    """OHLC and Depth, errors in HTTP 200."""

    HOST = "api.kraken.com"

    def test_since_is_exclusive(self, app: SimApp) -> None:
        """What opens at that second is not told; `last` is the newest that is final."""
        query = {"pair": "XBTUSD", "interval": 60, "since": (HOUR - 3 * HOUR_MS) // 1000}
        told = get_json(app, self.HOST, "/0/public/OHLC", **query)["result"]
        opened = [row[0] for row in told["XXBTZUSD"]]
        assert [(HOUR - n * HOUR_MS) // 1000 for n in (2, 1, 0)] == opened
        assert opened[-2] == told["last"]

    def test_candles_are_the_markets(self, app: SimApp) -> None:
        """A final one closes where the next opens, at the mark."""
        query = {"pair": "XXBTZUSD", "interval": 1}
        rows = get_json(app, self.HOST, "/0/public/OHLC", **query)["result"]["XXBTZUSD"]
        item = listing_of(app, "kraken", "XXBTZUSD", "spot")
        assert 720 == len(rows)
        assert rows[-2][4] == rows[-1][1]
        assert app.market.mark(item, rows[-1][0] * 1000) == float(rows[-1][1])

    def test_a_book_has_500_levels_at_most(self, app: SimApp) -> None:
        """Text, and the second of the last change."""
        depth = "/0/public/Depth"
        told = get_json(app, self.HOST, depth, pair="XBTUSD", count=500)["result"]["XXBTZUSD"]
        assert (500, 500) == (len(told["bids"]), len(told["asks"]))
        for query in ({"pair": "XBTUSD", "count": 501}, {"pair": "XBTUSD", "count": "x"}):
            said = get_json(app, self.HOST, depth, **query)
            assert {"error": ["EGeneral:Invalid arguments"]} == said
        assert ["EQuery:Unknown asset pair"] == get_json(app, self.HOST, depth, pair="NO")["error"]
        real = next(iter(recorded("kraken", "Depth?pair=BCHEUR")["result"].values()))
        assert types_of(real["bids"][0]) == types_of(told["bids"][0])
