"""Candles and order books of Hyperliquid, Binance, Aster, Coinbase and Kraken, on their wire."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from charts import H15, HOUR, READ_AT, ChartAsk, asking_charts, books_of, hand, series_of
from excerpts import asked_of, asking_for
from wires import RECORDINGS, SAMPLES, asking

from mmflow_mcp.errors import Unrecorded, VenueChanged, VenueError, VenueHttp, VenueRejected
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues import coinbase_candles, hyperliquid_candles, kraken_candles, roll
from mmflow_mcp.venues.binance import USDM
from mmflow_mcp.venues.candle_spans import STEPS, Page
from mmflow_mcp.venues.fapi import exchange_info
from mmflow_mcp.venues.fapi_candles import depth, find_sides, klines, parse_klines
from mmflow_mcp.venues.kraken import PAIRS
from mmflow_mcp.venues.order_books import parse_book
from mmflow_mcp.venues.traded import Traded

pytestmark = pytest.mark.anyio

FAPI = ("aster", "binance")
VENUES = (*FAPI, "coinbase", "hyperliquid", "kraken")


def about(venue: str, *coins: str, **how: Any) -> ChartAsk:
    """A question about the hours from 15:00 until now, over our samples."""
    return asking_charts(venue, *coins, until_ms=READ_AT, **how)


BTC_HOURS = (
    Candle(H15, 80_000.1, 80_500, 79_900, 80_200, 120.5),
    Candle(H15 + 3 * HOUR, 80_260, 80_400, 80_100, 80_300, 55.25),
)


class TestFapi:
    """Binance and Aster write the same arrays."""

    @pytest.mark.parametrize("venue", FAPI)
    async def test_candles_of_the_usdt_perpetual(self, venue: str) -> None:
        """A row that comes twice is one, a low above the open is told, the last one runs."""
        ask = about(venue, "BTC")
        btc = (await series_of(ask))["BTC"]
        quiet = Candle(H15 + 2 * HOUR, 80_260, 80_260, 80_260, 80_260, 0)
        assert (BTC_HOURS[0], quiet, BTC_HOURS[1]) == btc.candles
        assert ("BTCUSDT", "perp", "USDT", "1h", venue, READ_AT) == (
            btc.symbol,
            btc.market,
            btc.quote,
            btc.interval,
            btc.venue,
            btc.fetched_at,
        )
        assert ["changed: 1 row could not be read"] == ask.shortfalls

    @pytest.mark.parametrize("venue", FAPI)
    async def test_1000pepe_is_pepe(self, venue: str) -> None:
        """0.01 for a thousand; 2,000,000 of them are 2,000,000,000 PEPE; dollars are no coins."""
        ask = about(venue, "PEPE")
        pepe = (await series_of(ask))["PEPE"]
        assert ("1000PEPEUSDT", 2) == (pepe.symbol, len(pepe.candles))
        assert pytest.approx(0.00001) == pepe.candles[0].o
        assert [2_000_000_000, 1_500_000] == [one.v for one in pepe.candles]
        # The third row holds the turnover where the volume should be.
        assert ["changed: 1 row could not be read"] == ask.shortfalls

    @pytest.mark.parametrize("venue", FAPI)
    async def test_books_in_coins(self, venue: str) -> None:
        """Sorted, without what has gone or cannot be read; a crossed one is refused and said."""
        ask = about(venue, "BTC", "PEPE", "ETH")
        found = await books_of(ask)
        assert {"BTC", "PEPE"} == found.keys()
        btc, pepe = found["BTC"], found["PEPE"]
        assert [(80_300, 1.5), (80_299.5, 0.25), (80_299, 2)] == [*btc.bids]
        assert [(80_300.1, 0.75), (80_301, 4)] == [*btc.asks]
        # When the venue wrote it, not when it last changed.
        assert (1_789_412_345_600, "perp", "USDT") == (btc.venue_time, btc.market, btc.quote)
        assert pytest.approx((0.0000103, 5_000_000)) == pepe.bids[0]
        assert {"ETH"} == ask.unreadable
        assert ["changed: 1 row could not be read"] == ask.shortfalls[:1]
        assert ["changed: the book is crossed (ETHUSDT)"] == ask.shortfalls[1:]

    @pytest.mark.parametrize("venue", FAPI)
    async def test_stocks_and_dead_contracts_never_answer(self, venue: str) -> None:
        """QNT and BB are stocks there, FTM is settling, WEN and MOG are not open, DEFI an index."""
        coins = ("QNT", "BB", "TSLA", "FTM", "WEN", "MOG", "DEFI", "SOMI", "SPY", "CL")
        ask = about(venue, *coins)
        assert ({}, {}) == (await series_of(ask), await books_of(about(venue, *coins)))
        assert not set(coins) & set(ask.universe)
        assert not [url for url in asked_of(ask) if "klines" in url]

    @pytest.mark.parametrize("venue", FAPI)
    async def test_the_perpetual_is_that_of_funding(self, venue: str) -> None:
        """Whatever funding answers with is what is asked: GNS is in USD, the rest in USDT."""
        speaker: Any = roll()[venue]
        rows = await speaker.funding(asking(venue))
        mains = {row.coin: row.symbol for row in rows if "USD_PERP" not in row.symbol}
        assert {"BTC", "ETH", "PEPE"} <= mains.keys()
        for coin, symbol in mains.items():
            ask = about(venue, coin, failing={"klines": VenueHttp(503)})
            with pytest.raises(VenueHttp):
                await series_of(ask)
            asked = [dict(parse_qsl(urlsplit(u).query)) for u in asked_of(ask) if "klines" in u]
            assert {symbol} == {query["symbol"] for query in asked}

    @pytest.mark.parametrize("venue", FAPI)
    async def test_without_the_list_the_usual_contract_of_sure_coins(self, venue: str) -> None:
        """BTC and PEPE have theirs; whether BB is a coin only the list knows."""
        ask = about(venue, "BTC", "PEPE", "BB", failing={"exchangeInfo": VenueHttp(503)})
        found = await series_of(ask)
        assert {"BTC": "BTCUSDT", "PEPE": "1000PEPEUSDT"} == {c: r.symbol for c, r in found.items()}
        assert any("candles of BB without the list" in reason for reason in ask.shortfalls)
        assert {"BB"} <= ask.unreadable

    async def test_beside_a_whole_list_nothing_is_guessed(self) -> None:
        """SOL has a perpetual in USDC alone: SOLUSDT is not asked, nor is XRP's."""
        names = ("BTC", "USDT"), ("ETH", "USDT"), ("SOL", "USDC")
        rows = [
            {"symbol": base + quote, "baseAsset": base, "quoteAsset": quote}
            | {"contractType": "PERPETUAL", "status": "TRADING", "underlyingType": "COIN"}
            for base, quote in names
        ]
        ask = asking_for("binance", "SOL XRP", {exchange_info(USDM): {"symbols": rows}})
        with pytest.raises(Unrecorded):
            await books_of(ask)
        asked = [url for url in asked_of(ask) if "depth" in url]
        assert {"SOLUSDC"} == {dict(parse_qsl(urlsplit(url).query))["symbol"] for url in asked}

    @pytest.mark.parametrize("venue", FAPI)
    async def test_no_candles_are_said_and_no_row(self, venue: str) -> None:
        """ETH is listed and has none in that time."""
        ask = about(venue, "ETH")
        assert {} == await series_of(ask)
        assert ["missing: no candles of ETHUSDT in that time"] == ask.shortfalls
        assert {"ETH"} == ask.unreadable

    async def test_a_coin_that_fails_leaves_the_others_their_answer(self) -> None:
        """ETH's candles are refused; BTC's are there."""
        ask = about("binance", "BTC", "ETH", failing={"symbol=ETHUSDT": VenueHttp(503)})
        assert {"BTC"} == (await series_of(ask)).keys()
        assert "http 503 (klines)" in ask.shortfalls

    @pytest.mark.parametrize(
        ("size", "weight"), [(99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1001, 10)]
    )
    def test_a_page_weighs_by_its_size(self, size: int, weight: float) -> None:
        """1, 2, 5 or 10; a thousand levels of a book weigh 20."""
        btc = Traded("BTC", "BTCUSDT", "perp", "USDT")
        assert weight == klines(USDM, btc, Page(HOUR, H15, H15 + size * HOUR)).weight
        assert 20 == depth(USDM, btc).weight

    @pytest.mark.parametrize("doc", ["<html>", {}, {"code": -1121}, None, [[]], [["a"] * 12]])
    def test_something_else_is_refused(self, doc: Any) -> None:
        """A page, an error, empty rows: the venue has changed."""
        with pytest.raises(VenueChanged):
            parse_klines(hand(doc), Traded("BTC", "BTCUSDT", "perp", "USDT"), HOUR)

    def test_candles_of_another_length_are_refused(self) -> None:
        """Five minutes that open on the hour are no hour."""
        row = [H15, "1", "1", "1", "1", "1", H15 + 299_999, "1", 1, "1", "1", "0"]
        with pytest.raises(VenueChanged):
            parse_klines(hand([row]), Traded("BTC", "BTCUSDT", "perp", "USDT"), HOUR)


class TestHyperliquid:
    """Objects with names of one letter."""

    async def test_candles_of_the_core_perpetual(self) -> None:
        """One that opens before the start is left out, one of another coin is told."""
        ask = about("hyperliquid", "BTC")
        btc = (await series_of(ask))["BTC"]
        assert [H15, H15 + HOUR, H15 + 3 * HOUR] == [one.t for one in btc.candles]
        assert Candle(H15, 80_000, 80_500, 79_900, 80_200, 120.5) == btc.candles[0]
        assert ("BTC", "perp", "USD") == (btc.symbol, btc.market, btc.quote)
        # The list supports the answer and is not named in it.
        assert ["candleSnapshot"] == ask.labels
        assert ["changed: 1 row could not be read"] == ask.shortfalls

    async def test_a_small_k_is_a_thousand(self) -> None:
        """kPEPE at 0.01 is PEPE at 0.00001, in candles and in books."""
        pepe = (await series_of(about("hyperliquid", "PEPE")))["PEPE"]
        assert "kPEPE" == pepe.symbol
        assert pytest.approx(0.00001) == pepe.candles[0].o
        assert 2_000_000_000 == pepe.candles[0].v
        book = (await books_of(about("hyperliquid", "PEPE")))["PEPE"]
        assert pytest.approx((0.0000103, 5_000_000)) == book.bids[0]

    async def test_books_tell_their_time(self) -> None:
        """BTC's has both sides; ETH's lacks one and is said."""
        ask = about("hyperliquid", "BTC", "ETH")
        found = await books_of(ask)
        assert {"BTC"} == found.keys()
        btc = found["BTC"]
        assert (((80_300, 1.5), (80_299, 2)), 1_789_412_345_000) == (btc.bids, btc.venue_time)
        assert ["missing: the book lacks a side (ETH)"] == ask.shortfalls

    async def test_delisted_ones_never_answer(self) -> None:
        """MATIC and FTM still stand in the universe."""
        ask = about("hyperliquid", "MATIC", "FTM")
        assert ({}, 1) == (await series_of(ask), len(asked_of(ask)))
        assert not {"MATIC", "FTM"} & set(ask.universe)

    def test_a_page_weighs_by_its_rows(self) -> None:
        """20, and 1 for every 60 candles."""
        page = Page(60_000, 0, 5000 * 60_000)
        btc = Traded("BTC", "BTC", "perp", "USD")
        assert 103 == hyperliquid_candles.candles(btc, page).weight

    @pytest.mark.parametrize("doc", ["<html>", {}, None, [{}], [[1, 2]]])
    def test_something_else_is_refused(self, doc: Any) -> None:
        """A page, an object, rows without members."""
        btc = Traded("BTC", "BTC", "perp", "USD")
        with pytest.raises(VenueChanged):
            hyperliquid_candles.parse_candles(hand(doc), btc, HOUR)

    @pytest.mark.parametrize(
        "doc", [None, {"coin": "ETH", "levels": [[], []]}, {"coin": "BTC", "levels": [[]]}]
    )
    def test_another_book_is_refused(self, doc: Any) -> None:
        """Nothing, another coin's, half of one."""
        btc = Traded("BTC", "BTC", "perp", "USD")
        with pytest.raises(VenueChanged):
            parse_book(hand(doc), "hyperliquid", btc, hyperliquid_candles.find_sides)


class TestCoinbase:
    """Arrays in an order of their own, newest first."""

    async def test_low_and_high_stand_before_the_open(self) -> None:
        """Gaps stay gaps, one before the start is left out, a low above the close is told."""
        ask = about("coinbase", "BTC")
        btc = (await series_of(ask))["BTC"]
        last = Candle(H15 + 3 * HOUR, 80_260, 80_400.5, 80_100, 80_300, 55.25)
        assert (BTC_HOURS[0], last) == btc.candles
        assert ("BTC-USD", "spot", "USD", "1h") == (
            btc.symbol,
            btc.market,
            btc.quote,
            btc.interval,
        )
        assert ["changed: 1 row could not be read"] == ask.shortfalls

    async def test_four_hours_are_made_of_hours(self) -> None:
        """12:00 had a trade in its first hour, 16:00 in its first and third."""
        ask = about("coinbase", "BTC", interval="4h", since_ms=H15 - 5 * HOUR)
        btc = (await series_of(ask))["BTC"]
        assert [H15 - 3 * HOUR, H15 + HOUR] == [one.t for one in btc.candles]
        assert ("4h", Candle(H15 + HOUR, 80_210, 80_400.5, 80_100, 80_300, 60)) == (
            btc.interval,
            btc.candles[1],
        )
        assert (79_000, 80_500, 78_900, 80_200, 130.5) == (
            btc.candles[0].o,
            btc.candles[0].h,
            btc.candles[0].l,
            btc.candles[0].c,
            btc.candles[0].v,
        )

    async def test_numbers_in_small_coins(self) -> None:
        """PEPE in dollars each, two billion of them."""
        pepe = (await series_of(about("coinbase", "PEPE")))["PEPE"]
        assert [Candle(H15 + HOUR, 0.00001, 0.000011, 0.0000095, 0.0000105, 2e9 + 0.5)] == [
            *pepe.candles
        ]

    async def test_books_of_advanced_trade(self) -> None:
        """Objects, an ISO time of six decimals; ETH's bid equals its ask and is refused."""
        ask = about("coinbase", "BTC", "ETH")
        found = await books_of(ask)
        assert {"BTC"} == found.keys()
        btc = found["BTC"]
        assert [(80_300.01, 0.5), (80_300, 1.25)] == [*btc.bids]
        assert [(80_300.02, 0.75), (80_310, 2)] == [*btc.asks]
        assert (1_789_412_345_123, "spot", "USD") == (btc.venue_time, btc.market, btc.quote)
        assert ["changed: the book is crossed (ETH-USD)"] == ask.shortfalls

    async def test_halted_products_never_answer(self) -> None:
        """FTM, MOVE, XLM and ZRX are delisted, in auction or halted."""
        ask = about("coinbase", "FTM", "MOVE", "XLM", "ZRX")
        assert {} == await series_of(ask)
        assert not [url for url in asked_of(ask) if "candles" in url]

    async def test_long_spans_are_pages_of_300(self) -> None:
        """1,000 hours are four requests, and none asks for 301."""
        ask = about("coinbase", "SOL", since_ms=READ_AT - 1000 * HOUR)
        with pytest.raises(VenueError):
            await series_of(ask)
        queries = [dict(parse_qsl(urlsplit(u).query)) for u in asked_of(ask) if "candles" in u]
        assert ("2026-09-14T18:00:00Z", "2026-09-02T07:00:00Z") == (
            queries[0]["end"],
            queries[0]["start"],
        )
        assert len({query["start"] for query in queries}) == 4

    @pytest.mark.parametrize("doc", ["<html>", {"message": "NotFound"}, None, [[1, 2, 3]], [1]])
    def test_something_else_is_refused(self, doc: Any) -> None:
        """A page, an error, rows that are too short."""
        btc = Traded("BTC", "BTC-USD", "spot", "USD")
        with pytest.raises(VenueChanged):
            coinbase_candles.parse_candles(hand(doc), btc, HOUR)

    def test_advanced_trade_names_its_errors(self) -> None:
        """An unknown product is refused there in other words."""
        for status, error in ((404, b"NOT_FOUND"), (400, b"INVALID_ARGUMENT")):
            said = roll()["coinbase"].refusal(status, b'{"error":"' + error + b'","message":""}')
            assert isinstance(said, VenueRejected)


class TestKraken:
    """Answers under a pair's key, or under another of its names."""

    async def test_candles_from_the_start_on(self) -> None:
        """`since` is exclusive: a second before the start; what opens before it is left out."""
        ask = about("kraken", "BTC")
        btc = (await series_of(ask))["BTC"]
        assert [H15 + n * HOUR for n in range(4)] == [one.t for one in btc.candles]
        assert (BTC_HOURS[0], BTC_HOURS[1]) == (btc.candles[0], btc.candles[3])
        assert ("XXBTZUSD", "spot", "USD") == (btc.symbol, btc.market, btc.quote)
        assert [] == ask.shortfalls

    async def test_another_name_is_the_same_pair(self) -> None:
        """ETHUSD was asked as XETHZUSD; ADA's candles are not SOL's."""
        ask = about("kraken", "ETH", "SOL")
        found = await series_of(ask)
        assert {"ETH": 2005} == {coin: row.candles[-1].c for coin, row in found.items()}
        assert {"SOL"} == ask.unreadable

    async def test_books_without_a_time(self) -> None:
        """A level's time is its own; ETH's book is crossed."""
        ask = about("kraken", "BTC", "ETH")
        found = await books_of(ask)
        assert {"BTC"} == found.keys()
        assert [(80_300, 1.5), (80_299, 2)] == [*found["BTC"].bids]
        assert found["BTC"].venue_time is None
        assert ["changed: the book is crossed (XETHZUSD)"] == ask.shortfalls

    async def test_what_lies_beyond_720_is_said(self) -> None:
        """A span that ended long ago is answered with the newest candles, none of which are it."""
        old: dict[str, Any] = {
            "since_ms": READ_AT - 2000 * HOUR,
            "until_ms": READ_AT - 1990 * HOUR,
            "interval": "1h",
        }
        pairs = json.loads((SAMPLES / "kraken.har").read_text())["log"]["entries"][0]
        btc = Traded("BTC", "XXBTZUSD", "spot", "USD")
        first = -(-old["since_ms"] // HOUR) * HOUR
        call = kraken_candles.candles(btc, Page(HOUR, first, first + 10 * HOUR))
        newest = {"result": {"XXBTZUSD": [[H15 // 1000, *"1111111"]], "last": 0}}
        listed = json.loads(pairs["response"]["content"]["text"])
        ask = asking_for("kraken", "BTC", {PAIRS: listed, call: newest})
        ask.options = old
        assert {} == await series_of(ask)
        edge = H15 + 3 * HOUR - 719 * HOUR
        assert [
            "missing: no candles of XXBTZUSD in that time",
            f"missing: candles of XXBTZUSD from before {edge}",
        ] == ask.shortfalls

    @pytest.mark.parametrize(
        "doc", ["<html>", {"error": []}, {"result": None}, {"result": {"XXBTZUSD": [[1]]}}]
    )
    def test_something_else_is_refused(self, doc: Any) -> None:
        """A page, nothing, rows that are too short."""
        btc = Traded("BTC", "XXBTZUSD", "spot", "USD")
        with pytest.raises(VenueChanged):
            kraken_candles.parse_candles(hand(doc), btc, HOUR)


@pytest.mark.parametrize("venue", VENUES)
async def test_a_venue_that_fails_has_no_series(venue: str) -> None:
    """All of what is asked fails: the venue's failure, no empty series."""
    ask = about(venue, "BTC", failing={"klines": VenueHttp(503), "candles": VenueHttp(503)})
    if venue == "hyperliquid":
        ask = about(venue, "BTC", since_ms=H15 - HOUR)
    elif venue == "kraken":
        ask = about(venue, "BTC", failing={"OHLC": VenueHttp(503)})
    with pytest.raises(VenueError):
        await series_of(ask)


@pytest.mark.parametrize("venue", VENUES)
async def test_an_unknown_coin_has_no_series_and_no_book(venue: str) -> None:
    """Nothing is asked of a coin that the venue does not list."""
    ask = about(venue, "NOSUCH")
    assert ({}, {}) == (await series_of(ask), await books_of(about(venue, "NOSUCH")))
    assert "NOSUCH" not in ask.universe


def recordings(venue: str, pattern: str) -> Iterator[tuple[dict[str, str], Any, Wire]]:
    """Query, body and answer of every recorded request that fits."""
    path = RECORDINGS / f"{venue}.har"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    for entry in json.loads(path.read_text())["log"]["entries"]:
        url = entry["request"]["url"]
        body = entry["request"].get("postData", {}).get("text", "")
        if re.search(pattern, url + body):
            doc = json.loads(entry["response"]["content"]["text"])
            yield dict(parse_qsl(urlsplit(url).query)), json.loads(body or "null"), hand(doc)


class TestRecordings:
    """Every candle and book that was recorded, row by row."""

    @pytest.mark.parametrize(
        ("venue", "sizes"), [("aster", [1]), ("binance", [5, 5, 10, 10, 290, 366, 400, 400])]
    )
    def test_klines(self, venue: str, sizes: list[int]) -> None:
        """None is bad and none is missing: each opens where the one before ends."""
        told = []
        for query, _, found in recordings(venue, r"/klines\?"):
            step = STEPS[query["interval"]]
            rows, bad = parse_klines(found, Traded("X", query["symbol"], "perp", "USDT"), step)
            assert (0, len(found.doc)) == (bad, len(rows))
            assert {b.t - a.t for a, b in pairwise(rows)} <= {step}
            told.append(rows)
        assert sizes == sorted(map(len, told))
        if venue == "binance":
            # Bitcoin's first day of 2019 closed at 3,797.14, on 23,741.687 coins.
            day = next(r[0] for r in told if r[0].t == 1_546_300_800_000)
            assert (3797.14, 23_741.687033) == (day.c, day.v)

    @pytest.mark.parametrize(("venue", "count"), [("aster", 1), ("binance", 8)])
    def test_depth(self, venue: str, count: int) -> None:
        """A spread of a cent or a dime, sides of one length; spot tells no time."""
        found = []
        for _, _, one in recordings(venue, r"/depth\?"):
            market = Traded("BTC", "BTCUSDT", "perp", "USDT")
            book, bad = parse_book(one, venue, market, find_sides)
            assert (0, len(book.bids)) == (bad, len(book.asks))
            assert book.asks[0][0] - book.bids[0][0] < 0.11
            assert (book.venue_time is None) == ("E" not in one.doc)
            found.append(book)
        assert count == len(found)
        if venue == "binance":
            assert (32_090.35, 0.161) in [book.bids[0] for book in found]

    def test_hyperliquid(self) -> None:
        """24 hours of kPEPE and 8 minutes of BTC; four books, two of them of 20 levels."""
        lengths = {}
        for _, body, found in recordings("hyperliquid", "candleSnapshot"):
            req = body["req"]
            market = Traded("X", req["coin"], "perp", "USD", 1000 if req["coin"][0] == "k" else 1)
            rows, bad = hyperliquid_candles.parse_candles(found, market, STEPS[req["interval"]])
            assert 0 == bad
            lengths[req["coin"]] = len(rows)
            if req["coin"] == "kPEPE":
                # 0.0016 dollars for a thousand PEPE in May 2023, half a trillion in that hour.
                assert pytest.approx(0.000001604) == rows[0].c
                assert 520_665_683_000 == rows[0].v
        assert {"kPEPE": 24, "BTC": 8} == lengths
        books = []
        for _, body, found in recordings("hyperliquid", "l2Book"):
            market = Traded("X", body["coin"], "perp", "USD")
            book, bad = parse_book(found, "hyperliquid", market, hyperliquid_candles.find_sides)
            assert (0, len(book.bids)) == (bad, len(book.asks))
            books.append(book)
        assert [5, 20, 20, 20] == sorted(len(book.bids) for book in books)
        assert (110_427, 4.11882) in [book.bids[0] for book in books]

    def test_coinbase(self) -> None:
        """Ten minutes, asked as hours: as hours they are refused; a book of Advanced Trade."""
        ((_, _, found),) = recordings("coinbase", "/candles")
        market = Traded("BTC", "BTC-USD", "spot", "USD")
        rows, bad = coinbase_candles.parse_candles(found, market, STEPS["1m"])
        assert (10, 0) == (len(rows), bad)
        newest = Candle(1_517_443_740_000, 10_106.01, 10_120.21, 10_106, 10_120.21, 2.85107455)
        assert newest == rows[0]
        with pytest.raises(VenueChanged):
            coinbase_candles.parse_candles(found, market, HOUR)
        ((_, _, found),) = recordings("coinbase", "product_book")
        book, bad = parse_book(found, "coinbase", market, coinbase_candles.find_sides)
        assert (5, 5, 0) == (len(book.bids), len(book.asks), bad)
        assert ((68_923.66, 0.17189468), 1_775_521_739_663) == (book.bids[0], book.venue_time)

    def test_kraken(self) -> None:
        """Two books in euros, of 3 and of 100 levels."""
        found = []
        for _, _, one in recordings("kraken", r"/Depth\?"):
            (key,) = one.doc["result"]
            market = Traded("X", key, "spot", "EUR")
            book, bad = parse_book(one, "kraken", market, kraken_candles.find_sides)
            assert (0, len(book.bids)) == (bad, len(book.asks))
            found.append(book)
        assert [3, 100] == sorted(len(book.bids) for book in found)
        assert (526.26, 0.5) in [book.bids[0] for book in found]
