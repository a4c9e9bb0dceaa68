"""OKX's candles and books: days of UTC, two paths by age, contracts that become coins."""

from typing import Any

import pytest
from charts import (
    BOOKED_AT,
    DAY,
    H15,
    HOUR,
    HOURS_OF_BTC,
    MIDNIGHT,
    ONE_BAD,
    READ_AT,
    asking_charts,
    books_of,
    changed,
    hand,
    series_of,
)

from mmflow_mcp.errors import Unrecorded, VenueChanged, VenueTimeout
from mmflow_mcp.venues.candle_spans import Page
from mmflow_mcp.venues.okx_candles import candle_source, find_sides, parse_candles
from mmflow_mcp.venues.order_books import parse_book
from mmflow_mcp.venues.traded import Traded

pytestmark = pytest.mark.anyio

BTC = Traded("BTC", "BTC-USDT-SWAP", "perp", "USDT", size=0.01)
INVERSE = Traded("BTC", "BTC-USD-SWAP", "perp", "USD", size=100.0, inverse=True)
LATE = VenueTimeout("timeout: no answer within 6 s")
TRAPS = ("TSLA", "BB", "XAU", "MOG", "FTM")


class TestCandles:
    """Rows of text, newest first; the seventh is coins."""

    async def test_candles_ascend_each_once_in_coins(self) -> None:
        """12,050 contracts of 0.01 BTC are 120.5 coins; 15:00 cannot be read."""
        ask = asking_charts("okx", "BTC")
        series = (await series_of(ask))["BTC"]
        assert HOURS_OF_BTC == list(series.candles)
        assert ("BTC-USDT-SWAP", "perp", "USDT") == (series.symbol, series.market, series.quote)
        assert (READ_AT, [ONE_BAD]) == (series.fetched_at, ask.shortfalls)

    async def test_volume_is_the_coins_of_the_row(self) -> None:
        """500 contracts of 10,000,000 PEPE: 5,000,000,000 coins."""
        series = (await series_of(asking_charts("okx", "PEPE")))["PEPE"]
        assert [2e9, 5e9] == [candle.v for candle in series.candles]

    async def test_days_open_at_midnight_utc(self) -> None:
        """Asked as 1Dutc: 1D would open at 16:00 UTC, and such a row is refused."""
        ask = asking_charts("okx", "BTC", interval="1d", since_ms=MIDNIGHT - DAY)
        series = (await series_of(ask))["BTC"]
        assert [MIDNIGHT - DAY, MIDNIGHT] == [candle.t for candle in series.candles]
        assert [18_000.0, 25_000.0] == [candle.v for candle in series.candles]
        row = [str(MIDNIGHT - 8 * HOUR), "1", "2", "1", "2", "0", "0", "0", "1"]
        with pytest.raises(VenueChanged):
            parse_candles(hand({"code": "0", "data": [row]}), BTC, DAY)

    def test_after_is_older_and_before_is_newer(self) -> None:
        """Both times are outside of the page, the reverse of what the words say."""
        url = candle_source(READ_AT).call(BTC, Page(4 * HOUR, MIDNIGHT, MIDNIGHT + DAY)).url
        window = f"bar=4H&after={MIDNIGHT + DAY}&before={MIDNIGHT - 1}&limit=300"
        assert url == f"https://www.okx.com/api/v5/market/candles?instId=BTC-USDT-SWAP&{window}"

    @pytest.mark.parametrize(("age", "path"), [(1437, "candles"), (1439, "history-candles")])
    def test_what_is_older_than_1440_rows_has_a_path_of_its_own(self, age: int, path: str) -> None:
        """The page's oldest candle decides; that path allows half as many requests."""
        first = READ_AT // HOUR * HOUR - age * HOUR
        call = candle_source(READ_AT).call(BTC, Page(HOUR, first, first + 300 * HOUR))
        assert (path, 0.5 if path == "candles" else 1) == (call.label, call.weight)
        assert f"/market/{path}?" in call.url

    async def test_pages_of_both_paths_are_asked_in_one_round(self) -> None:
        """2,000 hours: seven pages of 300 at most, the oldest three from the path of old ones."""
        empty: dict[str, Any] = {"code": "0", "data": []}
        since = READ_AT - 2000 * HOUR
        ask = asking_charts("okx", "BTC", bends={"andles?": empty}, since_ms=since)
        assert {} == await series_of(ask)
        labels = [call.label for call in ask.charts.calls if "candles" in call.label]
        assert (3, 4) == (labels.count("history-candles"), labels.count("candles"))
        # The list of swaps, then all pages.
        assert 2 == ask.rounds

    async def test_a_recording_may_have_been_made_by_the_other_path(self) -> None:
        """Candles of long ago, recorded when they were new; only what neither has is said."""
        first = H15 - 2000 * HOUR
        row = [str(first), "1", "2", "1", "2", "0", "0", "0", "1"]
        bends = {"market/candles?": {"code": "0", "data": [row]}}
        old: dict[str, Any] = {"since_ms": first, "until_ms": first + HOUR}
        ask = asking_charts("okx", "BTC", bends=bends, **old)
        assert [first] == [candle.t for candle in (await series_of(ask))["BTC"].candles]
        assert [] == ask.shortfalls
        ask = asking_charts("okx", "BTC", **old)
        with pytest.raises(Unrecorded, match="history-candles"):
            await series_of(ask)
        # A venue that is late is not asked on the other path.
        failing = {"history-candles": LATE}
        ask = asking_charts("okx", "BTC", bends=bends, failing=failing, **old)
        with pytest.raises(VenueTimeout):
            await series_of(ask)

    async def test_a_page_that_the_venue_cuts_off_is_told(self) -> None:
        """100 rows where 300 were asked: some documentation knows no larger page."""
        rows = [
            [str(READ_AT // HOUR * HOUR - n * HOUR), "1", "2", "1", "2", "0", "0", "0", "1"]
            for n in range(100)
        ]
        bends = {"market/candles": {"code": "0", "data": rows}}
        ask = asking_charts("okx", "BTC", bends=bends, since_ms=READ_AT - 200 * HOUR)
        assert 100 == len((await series_of(ask))["BTC"].candles)
        assert [f"missing: candles of BTC-USDT-SWAP from before {rows[-1][0]}"] == ask.shortfalls
        ask = asking_charts("okx", "BTC", bends=bends, since_ms=READ_AT - 100 * HOUR)
        assert 100 == len((await series_of(ask))["BTC"].candles)
        assert [] == ask.shortfalls

    async def test_namesakes_and_dead_swaps_never_answer(self) -> None:
        """Stocks under coins' tickers, metals, pre-market and suspended swaps."""
        ask = asking_charts("okx", "BTC", *TRAPS)
        assert {"BTC"} == set(await series_of(ask))
        assert set() == ask.unreadable

    async def test_an_old_row_without_turnover_is_read(self) -> None:
        """Rows of seven members: coins are there."""
        row = ["1789408800000", "77700", "77800", "77650", "77790", "12050", "120.5"]
        found, bad = parse_candles(hand({"code": "0", "data": [row]}), BTC, HOUR)
        assert (120.5, 0) == (found[0].v, bad)

    def test_volume_of_an_inverse_swap_is_coins_too(self) -> None:
        """9,366 contracts of 100 USD; the turnover is USD."""
        row = ["1789408800000", "77700", "77800", "77650", "77790"]
        row += ["93660", "120.5", "9366000", "1"]
        found, _ = parse_candles(hand({"code": "0", "data": [row]}), INVERSE, HOUR)
        assert 120.5 == found[0].v

    @pytest.mark.parametrize(
        "doc",
        ["<html>", {"code": "0"}, {"code": "51000", "data": []}, {"code": "0", "data": [{"a": 1}]}],
    )
    async def test_what_is_no_list_of_candles_is_told(self, doc: object) -> None:
        """HTML, no data, an error code, rows of another kind: no series, and why."""
        ask = asking_charts("okx", "BTC", bends={"market/candles": doc})
        assert {} == await series_of(ask)
        assert ask.shortfalls[0].startswith("changed: ")
        assert {"BTC"} == ask.unreadable


class TestBooks:
    """Levels of text whose sizes are contracts."""

    async def test_contracts_become_coins(self) -> None:
        """150 contracts of 0.01 BTC are 1.5 coins; an empty level and a second telling are none."""
        book = (await books_of(asking_charts("okx", "BTC")))["BTC"]
        assert ((77_790.0, 1.5), (77_788.0, 0.25)) == book.bids
        assert ((77_790.1, 2.0), (77_791.0, 0.001)) == book.asks
        assert ("BTC-USDT-SWAP", "USDT", BOOKED_AT) == (book.symbol, book.quote, book.venue_time)

    async def test_a_contract_of_millions(self) -> None:
        """0.1 contracts of 10,000,000 PEPE are a million coins."""
        book = (await books_of(asking_charts("okx", "PEPE")))["PEPE"]
        assert (((0.00001, 1_000_000.0),), ((0.0000101, 2_500_000.0),)) == (book.bids, book.asks)

    def test_an_inverse_contract_is_usd(self) -> None:
        """8 contracts of 100 USD at 80,000 are 0.01 coins."""
        level = ["8", "0", "1"]
        rows = {"bids": [["80000", *level]], "asks": [["80001", *level]], "ts": "1"}
        book, _ = parse_book(hand({"code": "0", "data": [rows]}), "okx", INVERSE, find_sides)
        assert ((80_000.0, 0.01),) == book.bids

    async def test_without_the_list_there_are_candles_and_no_book(self) -> None:
        """Candles tell coins; the size of a contract only the list tells, and none is guessed."""
        failing = {"public/instruments": LATE}
        ask = asking_charts("okx", "BTC", "MOG", failing=failing)
        assert HOURS_OF_BTC == list((await series_of(ask))["BTC"].candles)
        ask = asking_charts("okx", "BTC", "TSLA", failing=failing)
        assert {} == await books_of(ask)
        assert [
            "timeout: no answer within 6 s (instruments)",
            "missing: nothing of TSLA without the list of swaps",
            "missing: the size of a contract is not known (BTC-USDT-SWAP)",
        ] == ask.shortfalls

    async def test_a_crossed_book_is_refused(self) -> None:
        """The best bid at the best ask: told, no row."""
        bends = {"market/books": changed("data.0.bids.0.0", "77790.1")}
        ask = asking_charts("okx", "BTC", bends=bends)
        assert {} == await books_of(ask)
        assert ["changed: the book is crossed (BTC-USDT-SWAP)"] == ask.shortfalls

    @pytest.mark.parametrize("doc", ["<html>", {"code": "0", "data": []}, {"code": "1", "data": 1}])
    def test_what_is_no_book_is_refused(self, doc: object) -> None:
        """HTML, no book, an error code."""
        with pytest.raises(VenueChanged):
            parse_book(hand(doc), "okx", BTC, find_sides)


async def test_one_coin_is_one_chart() -> None:
    """The list of a day and one page; the running candle is asked again after 5 s."""
    ask = asking_charts("okx", "BTC", since_ms=H15)
    await series_of(ask)
    (chart,) = [call for call in ask.charts.calls if "candles" in call.url]
    assert (5, False) == (chart.fresh, chart.reference)
