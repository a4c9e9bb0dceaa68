"""Gate's candles and books: seconds, contracts, and no more than 10,000 intervals."""

import pytest
from charts import (
    BOOKED_AT,
    H15,
    H17,
    H18,
    HOUR,
    HOURS_OF_BTC,
    ONE_BAD,
    READ_AT,
    asking_charts,
    books_of,
    changed,
    hand,
    series_of,
)

from mmflow_mcp.errors import VenueChanged, VenueRejected, VenueTimeout
from mmflow_mcp.venues.candle_spans import Page
from mmflow_mcp.venues.gateio_candles import KEPT, candlesticks, find_sides, parse_candles
from mmflow_mcp.venues.order_books import parse_book
from mmflow_mcp.venues.traded import Traded

pytestmark = pytest.mark.anyio

MINUTE = 60_000
BTC = Traded("BTC", "BTC_USDT", "perp", "USDT", size=0.0001)
INVERSE = Traded("BTC", "BTC_USD", "perp", "USD", inverse=True)
LATE = VenueTimeout("timeout: no answer within 6 s")
TRAPS = ("TSLA", "MOVE", "XAU", "FTM", "QNT", "BABA")


class TestCandles:
    """Objects, oldest first; `v` counts contracts."""

    async def test_contracts_become_coins(self) -> None:
        """1,205,000 contracts of 0.0001 BTC are 120.5 coins; one row tells its number as text."""
        ask = asking_charts("gateio", "BTC")
        series = (await series_of(ask))["BTC"]
        assert [c.t for c in HOURS_OF_BTC] == [c.t for c in series.candles]
        assert [c.c for c in HOURS_OF_BTC] == [c.c for c in series.candles]
        assert [150.25, 200.0, 120.5] == [pytest.approx(c.v, rel=1e-12) for c in series.candles]
        assert ("BTC_USDT", "perp", "USDT") == (series.symbol, series.market, series.quote)
        assert (READ_AT, [ONE_BAD]) == (series.fetched_at, ask.shortfalls)

    async def test_a_contract_of_millions(self) -> None:
        """500 contracts of 10,000,000 PEPE: 5,000,000,000 coins."""
        series = (await series_of(asking_charts("gateio", "PEPE")))["PEPE"]
        assert [(H17, 2e9), (H18, 5e9)] == [(c.t, c.v) for c in series.candles]

    def test_times_are_seconds_and_belong_to_the_page(self) -> None:
        """`to` is where the newest candle opens; a limit beside them would be refused."""
        call = candlesticks(INVERSE, Page(HOUR, H15, H18))
        window = f"contract=BTC_USD&interval=1h&from={H15 // 1000}&to={H17 // 1000}"
        assert f"https://api.gateio.ws/api/v4/futures/btc/candlesticks?{window}" == call.url
        assert "btc/candlesticks" == call.label

    def test_the_inverse_contract_counts_usd(self) -> None:
        """1,600,000 contracts of 1 USD between 79,000 and 81,000 are 20 coins."""
        row = {"t": H18 // 1000, "o": "79000", "h": "81500", "l": "78900", "c": "81000"}
        row |= {"v": 1_600_000, "sum": "1600000"}
        found, _ = parse_candles(hand([row]), INVERSE, HOUR)
        assert 20.0 == found[0].v

    async def test_a_page_ends_where_the_venue_would_refuse_it(self) -> None:
        """All of a page is refused for its older part: what is kept is asked by itself."""
        edge = READ_AT // MINUTE * MINUTE - (KEPT - 1) * MINUTE
        span = {"since_ms": edge - 100 * MINUTE, "until_ms": edge + 100 * MINUTE}
        refused = VenueRejected("rejected: Candlestick too long ago")
        row = {"t": edge // 1000, "o": "1", "h": "2", "l": "1", "c": "2", "v": 0, "sum": "0"}
        bends = {f"from={edge // 1000}&": [row]}
        failing = {f"from={edge // 1000 - 6000}&": refused}
        ask = asking_charts("gateio", "BTC", bends=bends, failing=failing, interval="1m", **span)
        assert [edge] == [candle.t for candle in (await series_of(ask))["BTC"].candles]
        assert [
            "rejected: Candlestick too long ago (candlesticks)",
            f"missing: candles of BTC_USDT from before {edge}",
        ] == ask.shortfalls

    async def test_namesakes_and_dead_contracts_never_answer(self) -> None:
        """Stocks under coins' tickers, metals, delisted and pre-market contracts."""
        ask = asking_charts("gateio", "BTC", *TRAPS)
        assert {"BTC"} == set(await series_of(ask))
        assert not any("candlesticks" in c.url and "BTC_" not in c.url for c in ask.charts.calls)

    async def test_without_the_list_the_contract_is_asked_itself(self) -> None:
        """Its size is needed for volume: BTC_USDT tells it, and nothing is guessed."""
        ask = asking_charts("gateio", "BTC", failing={"usdt/contracts?": LATE})
        assert [150.25, 200.0, 120.5] == [
            pytest.approx(c.v, rel=1e-12) for c in (await series_of(ask))["BTC"].candles
        ]

    @pytest.mark.parametrize(
        "doc", ["<html>", {"label": "X"}, [{"t": 1}], [{"t": 1789408800, "o": "NaN"}]]
    )
    async def test_what_is_no_list_of_candles_is_told(self, doc: object) -> None:
        """HTML, an object, rows without members, rows without numbers."""
        ask = asking_charts("gateio", "BTC", bends={"candlesticks": doc})
        assert {} == await series_of(ask)
        assert ask.shortfalls[0].startswith("changed: ")
        assert {"BTC"} == ask.unreadable


class TestBooks:
    """Levels {p, s} of contracts."""

    async def test_contracts_become_coins(self) -> None:
        """15,000 contracts of 0.0001 BTC are 1.5 coins; size 0 and a second telling are none."""
        book = (await books_of(asking_charts("gateio", "BTC")))["BTC"]
        assert [77_790.0, 77_788.0] == [price for price, _ in book.bids]
        assert [1.5, 0.25] == [pytest.approx(size, rel=1e-12) for _, size in book.bids]
        assert [77_790.1, 77_791.0] == [price for price, _ in book.asks]
        assert [2.0, 0.001] == [pytest.approx(size, rel=1e-12) for _, size in book.asks]

    async def test_the_time_of_the_book_is_in_seconds(self) -> None:
        """`current` is when the book was as told; `update` when it changed last."""
        book = (await books_of(asking_charts("gateio", "BTC")))["BTC"]
        assert (BOOKED_AT, READ_AT) == (book.venue_time, book.fetched_at)

    async def test_a_contract_of_millions(self) -> None:
        """10 contracts of 10,000,000 PEPE."""
        book = (await books_of(asking_charts("gateio", "PEPE")))["PEPE"]
        assert (((0.00001, 1e8),), ((0.0000101, 2.5e8),)) == (book.bids, book.asks)

    def test_an_inverse_contract_is_a_dollar(self) -> None:
        """800 contracts at 80,000 are 0.01 coins."""
        doc = {"bids": [{"p": "80000", "s": 800}], "asks": [{"p": "80001", "s": 800}]}
        book, _ = parse_book(hand(doc), "gateio", INVERSE, find_sides)
        assert (((80_000.0, 0.01),), None) == (book.bids, book.venue_time)

    async def test_a_crossed_book_is_refused(self) -> None:
        """The best bid above the best ask: told, no row."""
        ask = asking_charts("gateio", "BTC", bends={"order_book": changed("bids.0.p", "77800")})
        assert {} == await books_of(ask)
        assert ["changed: the book is crossed (BTC_USDT)"] == ask.shortfalls

    @pytest.mark.parametrize("doc", ["<html>", [], {"bids": []}, {"bids": [], "asks": "x"}])
    def test_what_is_no_book_is_refused(self, doc: object) -> None:
        """HTML, a list, a side that is missing or none."""
        with pytest.raises(VenueChanged):
            parse_book(hand(doc), "gateio", BTC, find_sides)
