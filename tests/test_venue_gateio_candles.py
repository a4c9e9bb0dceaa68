"""Gate's candles and books: seconds, contracts, and no more than 10,000 intervals."""

import pytest
from charts import (
    BOOKED_AT,
    H15,
    H17,
    H18,
    HOURS_OF_BTC,
    ONE_BAD,
    READ_AT,
    asking_charts,
    books_of,
    changed,
    hand,
    series_of,
)

from mmflow_mcp.errors import VenueChanged, VenueTimeout
from mmflow_mcp.venues.candle_pages import Span
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.gateio_candles import KEPT, candlesticks, parse_book, parse_candles

pytestmark = pytest.mark.anyio

MINUTE = 60_000
BTC = Contract("BTC_USDT", "BTC", 1, "USDT", "linear", 0.0001)
INVERSE = Contract("BTC_USD", "BTC", 1, "USD", "inverse")
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
        call = candlesticks(INVERSE, Span("1h", H15, H18))
        window = f"contract=BTC_USD&interval=1h&from={H15 // 1000}&to={H17 // 1000}"
        assert f"https://api.gateio.ws/api/v4/futures/btc/candlesticks?{window}" == call.url
        assert "btc/candlesticks" == call.label

    def test_the_inverse_contract_counts_usd(self) -> None:
        """1,600,000 contracts of 1 USD between 79,000 and 81,000 are 20 coins."""
        row = {"t": H18 // 1000, "o": "79000", "h": "81500", "l": "78900", "c": "81000"}
        row |= {"v": 1_600_000, "sum": "1600000"}
        found, _ = parse_candles(hand([row]), INVERSE, "1h")
        assert 20.0 == found[0].v

    async def test_what_is_too_old_is_not_asked_for(self) -> None:
        """The venue refuses more than 10,000 intervals: the rest is told, the newest are asked."""
        since = READ_AT - 20_000 * MINUTE
        ask = asking_charts("gateio", "BTC", bends={"sticks": []}, interval="1m", since_ms=since)
        assert {} == await series_of(ask)
        asked = [call.url for call in ask.charts.calls if "candlesticks" in call.url]
        oldest = min(int(url.partition("from=")[2].partition("&")[0]) for url in asked)
        # Eight pages of a thousand, which is less than what is kept.
        assert 8 == len(asked)
        assert (READ_AT // MINUTE + 1 - 8000) * 60 == oldest
        assert oldest * 1000 > READ_AT - KEPT * MINUTE
        assert "missing: the oldest 12000 candles of 1m, beyond what is asked" == ask.shortfalls[0]

    async def test_a_span_that_is_too_old_altogether_asks_nothing(self) -> None:
        """Minutes of a year ago: no request but the lists, and said to be missing."""
        since = READ_AT - 365 * 86_400_000
        ask = asking_charts(
            "gateio", "BTC", interval="1m", since_ms=since, until_ms=since + 60 * MINUTE
        )
        assert {} == await series_of(ask)
        assert not any("candlesticks" in call.url for call in ask.charts.calls)
        assert ["missing: no candles of BTC_USDT in that time"] == ask.shortfalls

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
        doc = {"bids": [{"p": "80000", "s": 800}], "asks": []}
        book, _ = parse_book(hand(doc), INVERSE)
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
            parse_book(hand(doc), BTC)
