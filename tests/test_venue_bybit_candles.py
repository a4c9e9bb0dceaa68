"""Bybit's candles and books: newest first, thousands of coins, USD on inverse contracts."""

from typing import Any

import pytest
from charts import (
    BOOKED_AT,
    DAY,
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
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.venues.bybit_candles import find_sides, kline, parse_candles
from mmflow_mcp.venues.candle_spans import Page
from mmflow_mcp.venues.order_books import parse_book
from mmflow_mcp.venues.traded import Traded

pytestmark = pytest.mark.anyio

BTC = Traded("BTC", "BTCUSDT", "perp", "USDT")
LATE = VenueTimeout("timeout: no answer within 6 s")
# What the lists hold although it must never answer for a coin.
TRAPS = ("TSLA", "MOVE", "XAU", "WEN", "FTM")


class TestCandles:
    """Rows of text, newest first."""

    async def test_candles_ascend_each_once_and_none_before_the_question(self) -> None:
        """Four rows of text and one twice; 14:00 was not asked, 15:00 closes above its high."""
        ask = asking_charts("bybit", "BTC")
        series = (await series_of(ask))["BTC"]
        assert HOURS_OF_BTC == list(series.candles)
        assert ("BTCUSDT", "perp", "USDT", "1h") == (
            series.symbol,
            series.market,
            series.quote,
            series.interval,
        )
        assert (READ_AT, [ONE_BAD]) == (series.fetched_at, ask.shortfalls)

    async def test_a_thousand_coins_are_divided_out(self) -> None:
        """1000PEPE at 0.0101, 5,000,000 of them: PEPE at 0.0000101, 5,000,000,000 coins."""
        series = (await series_of(asking_charts("bybit", "PEPE")))["PEPE"]
        last = series.candles[-1]
        assert ("1000PEPEUSDT", H18, 5e9) == (series.symbol, last.t, last.v)
        expected = [0.00001, 0.0000102, 0.0000099, 0.0000101]
        assert pytest.approx(expected, rel=1e-12) == [last.o, last.h, last.l, last.c]

    async def test_volume_of_an_inverse_contract_is_its_turnover(self) -> None:
        """EOS has no other: 30,000 USD at 0.5 are 60,000 coins; an hour without a trade has 0."""
        series = (await series_of(asking_charts("bybit", "EOS")))["EOS"]
        assert ("EOSUSD", "USD", [0.0, 60_000.0]) == (
            series.symbol,
            series.quote,
            [candle.v for candle in series.candles],
        )

    async def test_namesakes_and_dead_contracts_never_answer(self) -> None:
        """Stocks under coins' tickers, metals, pre-market and closed contracts."""
        ask = asking_charts("bybit", "BTC", *TRAPS)
        assert {"BTC"} == set(await series_of(ask))
        assert set() == ask.unreadable
        assert not any("TSLA" in call.url or "MOVE" in call.url for call in ask.charts.calls)

    async def test_another_contract_does_not_speak_for_bitcoin(self) -> None:
        """BTCPERP is there, BTCUSDT is not listed any more: as funding, no answer."""

        def settling(doc: Any) -> Any:
            for row in doc["result"]["list"]:
                row["status"] = "Settling" if row["symbol"] == "BTCUSDT" else row["status"]
            return doc

        ask = asking_charts("bybit", "BTC", bends={"instruments-info?category=linear": settling})
        assert {} == await series_of(ask)

    async def test_without_the_list_a_sure_coin_has_its_usual_contract(self) -> None:
        """BTCUSDT can be nothing else; MOVE may be a stock and is said to be missing."""
        ask = asking_charts("bybit", "BTC", "PEPE", "MOVE", failing={"instruments-info": LATE})
        found = await series_of(ask)
        assert {"BTC": "BTCUSDT", "PEPE": "1000PEPEUSDT"} == {c: s.symbol for c, s in found.items()}
        assert "missing: nothing of MOVE without the list of contracts" in ask.shortfalls
        assert "MOVE" in ask.unreadable

    async def test_a_coin_that_fails_leaves_the_others(self) -> None:
        """The reason is told, and the coin counts as listed."""
        ask = asking_charts("bybit", "BTC", "PEPE", failing={"symbol=1000PEPEUSDT": LATE})
        assert {"BTC"} == set(await series_of(ask))
        assert "timeout: no answer within 6 s (kline)" in ask.shortfalls
        assert {"PEPE"} == ask.unreadable

    @pytest.mark.parametrize("value", ["NaN", "inf", "0", "-1", "", None, "n/a", "1e13"])
    async def test_a_row_without_a_price_is_dropped_and_told(self, value: object) -> None:
        """17:00 comes twice: the other one still speaks; 18:00 alone is missing."""
        bends = {"symbol=BTCUSDT": changed("result.list.0.2", value)}
        ask = asking_charts("bybit", "BTC", bends=bends)
        assert HOURS_OF_BTC[:2] == list((await series_of(ask))["BTC"].candles)
        assert ["changed: 2 rows could not be read"] == ask.shortfalls

    @pytest.mark.parametrize(
        "doc",
        [
            "<html>maintenance</html>",
            {"retCode": 0, "result": {}},
            {"retCode": 0, "result": {"list": None}},
            {"retCode": 0, "result": {"list": [["1", "2"]]}},
        ],
    )
    async def test_what_is_no_list_of_candles_is_told(self, doc: object) -> None:
        """HTML, an empty result, no list, short rows: no series, and why."""
        ask = asking_charts("bybit", "BTC", bends={"kline": doc})
        assert {} == await series_of(ask)
        assert any(reason.startswith("changed: ") for reason in ask.shortfalls)
        assert {"BTC"} == ask.unreadable

    async def test_no_candles_are_no_series(self) -> None:
        """An empty list is the answer before a listing: told, and not an empty series."""
        bends = {"kline": {"retCode": 0, "result": {"list": []}}}
        ask = asking_charts("bybit", "BTC", bends=bends)
        assert {} == await series_of(ask)
        assert ["missing: no candles of BTCUSDT in that time"] == ask.shortfalls

    def test_the_request_names_openings_on_both_ends(self) -> None:
        """`start` and `end` belong to the page: the last is where the newest candle opens."""
        url = kline(BTC, Page(DAY, 0, 3 * DAY)).url
        assert url.endswith("symbol=BTCUSDT&interval=D&start=0&end=172800000&limit=1000")

    def test_volume_in_another_unit_is_refused(self) -> None:
        """USD where coins belong: volume x price is then far from the turnover."""
        row = ["1789408800000", "77700", "77800", "77650", "77790", "9366000", "9366000"]
        with pytest.raises(VenueChanged):
            parse_candles(hand({"result": {"list": [row]}}), BTC, HOUR)
        row[5] = "120.5"
        assert 120.5 == parse_candles(hand({"result": {"list": [row]}}), BTC, HOUR)[0][0].v

    def test_a_candle_off_the_grid_is_refused(self) -> None:
        """A day that opens at 08:00 is not a day of ours."""
        day = 1_789_344_000_000
        rows = [[str(day + shift), "1", "2", "1", "2", "0", "0"] for shift in (0, 8 * 3_600_000)]
        found, bad = parse_candles(hand({"result": {"list": rows}}), BTC, DAY)
        assert ([Candle(day, 1.0, 2.0, 1.0, 2.0, 0.0)], 1) == (found, bad)


class TestBooks:
    """Levels of text; sizes are coins, or USD on inverse contracts."""

    async def test_sides_are_sorted_each_level_once_and_none_empty(self) -> None:
        """77,789.5 has size 0, 77,791 comes twice."""
        book = (await books_of(asking_charts("bybit", "BTC")))["BTC"]
        assert ((77_790.0, 1.5), (77_788.0, 0.25)) == book.bids
        assert ((77_790.1, 2.0), (77_791.0, 0.001)) == book.asks
        assert ("BTCUSDT", "perp", "USDT", BOOKED_AT, READ_AT) == (
            book.symbol,
            book.market,
            book.quote,
            book.venue_time,
            book.fetched_at,
        )

    async def test_sizes_are_coins(self) -> None:
        """1,000 of 1000PEPE are a million PEPE; 1,000 USD of EOS at 0.5 are 2,000 EOS."""
        found = await books_of(asking_charts("bybit", "PEPE", "EOS"))
        ((price, size),) = found["PEPE"].bids
        assert pytest.approx(0.00001, rel=1e-12) == price
        assert 1_000_000.0 == size
        assert (((0.5, 2000.0),), ((0.51, 200.0),)) == (found["EOS"].bids, found["EOS"].asks)

    @pytest.mark.parametrize("price", ["77790.1", "77795"])
    async def test_a_crossed_book_is_refused(self, price: str) -> None:
        """A bid at the best ask or above it: told, no row."""
        ask = asking_charts("bybit", "BTC", bends={"orderbook": changed("result.b.0.0", price)})
        assert {} == await books_of(ask)
        assert ["changed: the book is crossed (BTCUSDT)"] == ask.shortfalls
        assert {"BTC"} == ask.unreadable

    @pytest.mark.parametrize("value", ["NaN", "-3", None, "x"])
    async def test_a_level_that_cannot_be_read_is_dropped_and_told(self, value: object) -> None:
        """The other levels stay."""
        ask = asking_charts("bybit", "BTC", bends={"orderbook": changed("result.b.0.1", value)})
        assert ((77_788.0, 0.25),) == (await books_of(ask))["BTC"].bids
        assert [ONE_BAD] == ask.shortfalls

    @pytest.mark.parametrize("doc", ["<html>", {"result": {}}, {"result": {"b": [], "a": None}}])
    def test_what_is_no_book_is_refused(self, doc: object) -> None:
        """HTML, no sides, or a side that is no list."""
        with pytest.raises(VenueChanged):
            parse_book(hand(doc), "bybit", BTC, find_sides)

    async def test_a_refused_symbol_is_told(self) -> None:
        """The venue lists it and does not know it: an error, not an unlisted coin."""
        refusal = VenueRejected("rejected: retCode 10001")
        ask = asking_charts("bybit", "BTC", "PEPE", failing={"symbol=BTCUSDT": refusal})
        assert {"PEPE"} == set(await books_of(ask))
        assert (["rejected: retCode 10001 (orderbook)"], {"BTC"}) == (
            ask.shortfalls,
            ask.unreadable,
        )


async def test_candles_and_books_are_of_the_same_contracts_and_share_the_lists() -> None:
    """One list and one chart each; the inverse list only for what has no other."""
    ask = asking_charts("bybit", "BTC", since_ms=H15)
    await series_of(ask)
    assert 2 == len(ask.charts.calls)
    ask = asking_charts("bybit", "EOS", since_ms=H17 - 2 * 3_600_000)
    assert {"EOS"} == set(await series_of(ask))
    assert {"EOS"} == set(await books_of(ask))
    assert 2 == sum("instruments-info" in url for url in {c.url for c in ask.charts.calls})
