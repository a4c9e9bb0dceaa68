"""Deribit's candles and books: columns, hours that become four hours, USD that become coins."""

from typing import Any

import pytest
from charts import (
    BOOKED_AT,
    DAY,
    H8,
    H15,
    H17,
    H18,
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

from mmflow_mcp.errors import VenueChanged, VenueTimeout
from mmflow_mcp.venues.candle_spans import Page
from mmflow_mcp.venues.deribit_candles import chart, find_sides, parse_candles
from mmflow_mcp.venues.deribit_names import read_perpetual
from mmflow_mcp.venues.order_books import parse_book
from mmflow_mcp.venues.traded import Traded, perp_of

pytestmark = pytest.mark.anyio

LATE = VenueTimeout("timeout: no answer within 6 s")


def perpetual(name: str) -> Traded:
    """A perpetual by its name."""
    contract = read_perpetual(name)
    assert contract is not None
    return perp_of(contract)


BTC, SOL = perpetual("BTC-PERPETUAL"), perpetual("SOL_USDC-PERPETUAL")


def charted(**columns: Any) -> dict[str, Any]:
    """A chart of one hour, some of its columns replaced."""
    plain = {"ticks": [H18], "open": [1], "high": [2], "low": [1], "close": [2]}
    return {"result": {"status": "ok", **plain, "volume": [10], "cost": [15], **columns}}


class TestCandles:
    """Columns, oldest first; volume is coins on every perpetual."""

    async def test_bitcoin_is_its_inverse_perpetual(self) -> None:
        """Quoted in USD, volume in coins; no list is needed to know it."""
        ask = asking_charts("deribit", "BTC")
        series = (await series_of(ask))["BTC"]
        assert HOURS_OF_BTC == list(series.candles)
        assert ("BTC-PERPETUAL", "perp", "USD") == (series.symbol, series.market, series.quote)
        assert ([ONE_BAD], 1) == (ask.shortfalls, len(ask.charts.calls))

    async def test_other_coins_are_linear(self) -> None:
        """SOL in USDC, found in the summary that funding reads; MOVE is not there."""
        ask = asking_charts("deribit", "SOL", "MOVE")
        series = (await series_of(ask))["SOL"]
        assert ("SOL_USDC-PERPETUAL", "USDC") == (series.symbol, series.quote)
        assert [(H17, 1000.0), (H18, 500.0)] == [(c.t, c.v) for c in series.candles]
        assert (set(), []) == (ask.unreadable, ask.shortfalls)

    async def test_without_the_summary_a_sure_coin_is_asked_by_its_usual_name(self) -> None:
        """SOL can be nothing else; MOVE is said to be missing."""
        failing = {"get_book_summary": LATE}
        ask = asking_charts("deribit", "SOL", "MOVE", failing=failing)
        assert {"SOL"} == set(await series_of(ask))
        assert [
            "timeout: no answer within 6 s (get_book_summary_by_currency)",
            "missing: nothing of MOVE without the list of perpetuals",
        ] == ask.shortfalls

    async def test_four_hours_are_made_of_hours(self) -> None:
        """12:00 lacks 13:00, which cannot be read: no candle rather than one of three hours."""
        ask = asking_charts("deribit", "BTC", interval="4h", since_ms=H8)
        series = (await series_of(ask))["BTC"]
        first, running = series.candles
        assert ("4h", H8, H18 - 2 * HOUR) == (series.interval, first.t, running.t)
        assert (77_000, 77_060, 76_980, 77_040, 40) == (first.o, first.h, first.l, first.c, first.v)
        # 16:00 to now: 16, 17 and 18 o'clock.
        assert (77_080, 77_130, 77_110, 30) == (running.o, running.h, running.c, running.v)
        assert [ONE_BAD] == ask.shortfalls
        (call,) = ask.charts.calls
        assert "resolution=60" in call.url

    async def test_no_data_is_told(self) -> None:
        """The venue's own word for an empty chart."""
        ask = asking_charts("deribit", "ETH")
        assert {} == await series_of(ask)
        assert ["missing: no candles of ETH-PERPETUAL in that time"] == ask.shortfalls

    def test_the_request_begins_a_moment_before(self) -> None:
        """A candle that opens just at the start was left out; the end is an opening."""
        url = chart(BTC, Page(DAY, MIDNIGHT, MIDNIGHT + DAY)).url
        window = f"start_timestamp={MIDNIGHT - 1}&end_timestamp={MIDNIGHT}&resolution=1D"
        assert url.endswith(f"instrument_name=BTC-PERPETUAL&{window}")

    def test_a_day_that_opens_elsewhere_is_refused(self) -> None:
        """Days open at 00:00 UTC here; 08:00 is this venue's settlement."""
        with pytest.raises(VenueChanged):
            parse_candles(hand(charted(ticks=[MIDNIGHT + 8 * HOUR])), BTC, DAY)
        assert 1 == len(parse_candles(hand(charted(ticks=[MIDNIGHT])), BTC, DAY)[0])

    def test_usd_for_volume_are_refused(self) -> None:
        """Cost over volume must be a price: the columns would be swapped else."""
        with pytest.raises(VenueChanged):
            parse_candles(hand(charted(volume=[15], cost=[1000])), BTC, HOUR)

    @pytest.mark.parametrize(
        "doc",
        [
            "<html>",
            {"result": {}},
            {"result": {"status": "error"}},
            charted(open=[1, 2]),
            charted(volume=None),
            charted(status="partial"),
            charted(high=[None]),
            charted(low=["NaN"]),
        ],
    )
    def test_what_is_no_chart_is_refused(self, doc: object) -> None:
        """HTML, no columns, columns of different lengths, another status, no numbers."""
        with pytest.raises(VenueChanged):
            parse_candles(hand(doc), BTC, HOUR)


class TestBooks:
    """Levels [price, amount]: USD of inverse perpetuals, coins of linear ones."""

    async def test_usd_become_coins_at_the_price_of_the_level(self) -> None:
        """116,685 USD at 77,790 are 1.5 coins."""
        book = (await books_of(asking_charts("deribit", "BTC")))["BTC"]
        assert ((77_790.0, 1.5), (77_788.0, 19_450 / 77_788)) == book.bids
        assert [77_790.5, 77_791.0] == [price for price, _ in book.asks]
        assert ("BTC-PERPETUAL", "USD", BOOKED_AT, READ_AT) == (
            book.symbol,
            book.quote,
            book.venue_time,
            book.fetched_at,
        )

    async def test_linear_amounts_are_coins(self) -> None:
        """25 SOL."""
        book = (await books_of(asking_charts("deribit", "SOL")))["SOL"]
        assert (((160.9, 25.0),), ((161.0, 12.5),)) == (book.bids, book.asks)

    async def test_a_crossed_book_is_refused(self) -> None:
        """The best bid above the best ask: told, no row."""
        bends = {"get_order_book": changed("result.bids.0.0", 77_800)}
        ask = asking_charts("deribit", "BTC", bends=bends)
        assert {} == await books_of(ask)
        assert ["changed: the book is crossed (BTC-PERPETUAL)"] == ask.shortfalls

    @pytest.mark.parametrize("doc", ["<html>", {"result": {"bids": []}}, {"result": None}])
    def test_what_is_no_book_is_refused(self, doc: object) -> None:
        """HTML, a side missing, nothing."""
        with pytest.raises(VenueChanged):
            parse_book(hand(doc), "deribit", SOL, find_sides)


async def test_the_list_is_kept_for_a_day_and_shared_with_funding() -> None:
    """The same request as funding's: only how old it may be differs."""
    ask = asking_charts("deribit", "SOL", since_ms=H15)
    await series_of(ask)
    listed = ask.charts.calls[0]
    assert listed.url.endswith("get_book_summary_by_currency?currency=USDC&kind=future")
    assert (86_400, True, True) == (listed.fresh, listed.reference, listed.optional)
