"""Candles and books as the venues really told them, read by our parsers."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from charts import hand
from wires import RECORDINGS, _entries, _wire

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.candles import OrderBook
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues import bybit_candles, deribit_candles, gateio_candles, okx_candles
from mmflow_mcp.venues.candle_spans import STEPS
from mmflow_mcp.venues.deribit_names import read_perpetual
from mmflow_mcp.venues.order_books import parse_book
from mmflow_mcp.venues.traded import Traded, perp_of

pytestmark = pytest.mark.skipif(
    not RECORDINGS.exists(), reason="the recordings are not on this machine"
)

BTC = Traded("BTC", "BTC_USDT", "perp", "USDT", size=0.0001)
INVERSE = Traded("BTC", "BTC_USD", "perp", "USD", inverse=True)
# An interval that we do not offer, but were recorded: their openings lie on full days.
RECORDED_INTERVALS = {"7d": "1d"}


def answers(venue: str, part: str) -> Iterator[tuple[dict[str, str], Wire]]:
    """The query and the answer of every recording whose address contains a part."""
    for entry in _entries(RECORDINGS / f"{venue}.har"):
        url = entry["request"]["url"]
        if part in url:
            query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
            yield query, _wire(entry, "json")


def frames(name: str) -> list[Any]:
    """The messages of a recorded stream, as documents."""
    lines = (RECORDINGS / "ws" / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(json.loads(line)["text"]) for line in lines]


class TestGate:
    """Eight charts and five books of perpetuals."""

    def test_every_chart_of_usdt_contracts(self) -> None:
        """Five candles each; the turnover over our volume is a price between low and high."""
        charts = list(answers("gateio", "futures/usdt/candlesticks"))
        assert 4 == len(charts)
        for query, wire in charts:
            interval = RECORDED_INTERVALS.get(query["interval"], query["interval"])
            candles, bad = gateio_candles.parse_candles(wire, BTC, STEPS[interval])
            assert (5, 0) == (len(candles), bad)
            for row, candle in zip(wire.doc, candles, strict=True):
                assert candle.l <= float(row["sum"]) / candle.v <= candle.h
                assert row["t"] * 1000 == candle.t

    def test_a_minute_of_april_2026(self) -> None:
        """280,810 contracts of 0.0001 BTC at 66,766.5: 28.081 coins."""
        _, wire = next(
            one
            for one in answers("gateio", "futures/usdt/candlesticks")
            if one[0].get("from") == "1775370900"
        )
        first = gateio_candles.parse_candles(wire, BTC, STEPS["1m"])[0][0]
        assert (1_775_370_900_000, 66_773.9, 66_766.5) == (first.t, first.o, first.c)
        assert pytest.approx(28.081, rel=1e-12) == first.v

    def test_every_chart_of_the_inverse_contract(self) -> None:
        """759,064 USD near 79,562 are 9.54 coins; minutes without a trade are there, with 0."""
        charts = list(answers("gateio", "futures/btc/candlesticks"))
        assert 3 == len(charts)
        volumes = []
        for query, wire in charts:
            interval = RECORDED_INTERVALS.get(query["interval"], query["interval"])
            candles, bad = gateio_candles.parse_candles(wire, INVERSE, STEPS[interval])
            assert (5, 0) == (len(candles), bad)
            volumes.append(candles[0].v)
        assert [0.0, pytest.approx(9.5405, abs=1e-4), pytest.approx(2341.27, abs=0.01)] == sorted(
            volumes
        )

    def test_every_book_of_usdt_contracts(self) -> None:
        """Two of up to a hundred levels, two that their recorder cut to five."""
        books = [
            (query["contract"], parse_book(wire, "gateio", BTC, gateio_candles.find_sides))
            for query, wire in answers("gateio", "futures/usdt/order_book")
        ]
        assert all(bad == 0 for _, (_, bad) in books)
        depths = {(name, len(book.asks), len(book.bids)) for name, (book, _) in books}
        assert {("RDNT_USDT", 76, 57), ("OMG_USDT", 100, 68), ("BTC_USDT", 5, 5)} == depths

    def test_the_best_levels_of_march_2026(self) -> None:
        """17,835 contracts bid at 71,310.9 and 10,184 asked at 71,311: 1.7835 and 1.0184 coins."""
        _, wire = next(
            one
            for one in answers("gateio", "futures/usdt/order_book")
            if one[0].get("limit") == "10"
        )
        book, _ = parse_book(wire, "gateio", BTC, gateio_candles.find_sides)
        assert (71_310.9, 71_311.0) == (book.bids[0][0], book.asks[0][0])
        assert [1.7835, 1.0184] == [
            pytest.approx(side[0][1], rel=1e-12) for side in (book.bids, book.asks)
        ]
        assert 1_774_448_770_676 == book.venue_time

    def test_the_book_of_the_inverse_contract(self) -> None:
        """Its sizes are text: 150 USD at 1.17 (a test network's price)."""
        ((_, wire),) = answers("gateio", "futures/btc/order_book")
        book, bad = parse_book(wire, "gateio", INVERSE, gateio_candles.find_sides)
        assert ((1.17, 150 / 1.17), (1.52, 100 / 1.52), 0) == (book.bids[0], book.asks[0], bad)

    def test_an_old_frame_of_a_quanto_contract_is_a_book_too(self) -> None:
        """The stream's first frame has the same levels."""
        whole = next(one for one in frames("gateio-futures.order_book") if one["event"] == "all")
        wire = hand(whole["result"])
        book, _ = parse_book(wire, "gateio", BTC, gateio_candles.find_sides)
        assert (0.2728, 0.3351, None) == (book.bids[0][0], book.asks[0][0], book.venue_time)


class TestDeribit:
    """One chart, and books of the stream."""

    def test_the_chart_of_march_2024(self) -> None:
        """0.008 BTC in the hour of 11:00; cost 587.58 over it is a price of that hour."""
        ((query, wire),) = answers("deribit", "get_tradingview_chart_data")
        spot = Traded("BTC", query["instrument_name"], "spot", "USDT")
        (candle,), bad = deribit_candles.parse_candles(wire, spot, STEPS["1h"])
        assert (1_710_327_600_000, 73_427.75, 73_448.39, 0.008, 0) == (
            candle.t,
            candle.o,
            candle.c,
            candle.v,
            bad,
        )

    def test_books_of_perpetuals(self) -> None:
        """217.8 x 1,895 USD are 8.7 ETH; nobody sold LINK then, and half a book is told as none."""
        found: dict[str, OrderBook] = {}
        halves = set()
        for frame in frames("deribit-book"):
            data = frame.get("params", {}).get("data", {})
            contract = read_perpetual(data.get("instrument_name", ""))
            if contract is None:
                continue
            told = {side: [row[1:] for row in data[side]] for side in ("bids", "asks")}
            doc = {"result": told | {"timestamp": data["timestamp"]}}
            asked = hand(doc), "deribit", perp_of(contract), deribit_candles.find_sides
            if all(told.values()):
                found[contract.symbol], bad = parse_book(*asked)
                assert 0 == bad
            else:
                halves.add(contract.symbol)
                with pytest.raises(VenueChanged, match="lacks a side"):
                    parse_book(*asked)
        assert ({"ETH-PERPETUAL"}, {"LINK_USDC-PERPETUAL"}) == (set(found), halves)
        eth = found["ETH-PERPETUAL"]
        assert ((217.8, 1895 / 217.8), 1_564_617_600_273) == (eth.bids[0], eth.venue_time)


class TestBybit:
    """Snapshots of the stream of books: the members that an answer has."""

    def test_every_snapshot_of_a_future(self) -> None:
        """0.047 BTC bid at 28,552 and 25.433 asked ten cents above."""
        found: dict[str, OrderBook] = {}
        for frame in frames("bybit-orderbook"):
            symbol = frame["data"]["s"]
            if frame["type"] != "snapshot" or "-" in symbol:
                continue
            market = Traded("BTC", symbol, "perp", "USDT")
            doc = {"result": frame["data"] | {"ts": frame["ts"]}}
            found[f"{symbol} {frame['ts']}"], bad = parse_book(
                hand(doc), "bybit", market, bybit_candles.find_sides
            )
            assert 0 == bad
        assert 4 == len(found)
        book = found["BTCUSDT 1680673820717"]
        assert (((28_552.0, 0.047),), ((28_552.1, 25.433),)) == (book.bids, book.asks)


class TestOkx:
    """Snapshots of the stream of books: the `data` that an answer has."""

    def test_every_snapshot(self) -> None:
        """2 contracts of 100 ADA bid at 1.27803, 65 asked."""
        found: dict[str, OrderBook] = {}
        for frame in frames("okx-books-l2-tbt"):
            name = frame["arg"]["instId"]
            if frame.get("action") == "snapshot":
                market = Traded(name.partition("-")[0], name, "perp", "USDT", size=100.0)
                doc = {"code": "0", "data": frame["data"]}
                found[name], bad = parse_book(hand(doc), "okx", market, okx_candles.find_sides)
                assert 0 == bad
        assert {"BTC-DAI", "ADA-USDT-211224"} == found.keys()
        ada = found["ADA-USDT-211224"]
        assert ((1.27803, 200.0), (1.27802, 6500.0)) == ada.bids
        assert (((1.27898, 6500.0),), 1_640_131_206_623) == (ada.asks, ada.venue_time)
