"""Candles and order books of Kraken's spot pairs.

https://docs.kraken.com/api/docs/rest-api/get-ohlc-data
https://docs.kraken.com/api/docs/rest-api/get-order-book

The newest 720 candles of an interval are all there is, the running one among them: `since`, which
is exclusive, only leaves out older ones. An answer comes under the pair's key whatever name was
asked.
"""

from typing import Any

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.candle_rows import read_candle
from mmflow_mcp.venues.candle_series import CandleSource
from mmflow_mcp.venues.candle_spans import MINUTE_MS, Page, Paging
from mmflow_mcp.venues.fields import each, member
from mmflow_mcp.venues.order_books import BookSource, Sides
from mmflow_mcp.venues.traded import Traded

PUBLIC = "https://api.kraken.com/0/public"
KEPT = 720
LEVELS = 500


def candles(market: Traded, page: Page) -> Call:
    """The candles from the start of a page until now."""
    params: dict[str, str | int] = {
        "pair": market.symbol,
        "interval": page.step_ms // MINUTE_MS,
        "since": page.first_ms // 1000 - 1,
    }
    return get(f"{PUBLIC}/OHLC", params)


def parse_candles(wire: Wire, market: Traded, step_ms: int) -> tuple[list[Candle], int]:
    """Seconds, open, high, low, close, mean price, volume in coins, count of trades."""

    def read(row: list[Any]) -> Candle:
        at, opened, high, low, closed, _, volume, _ = row
        return read_candle(int(at) * 1000, (opened, high, low, closed), volume, market, step_ms)

    return each(_only(member(wire.doc, "result"), market), read)


def book(market: Traded) -> Call:
    """The 500 best levels of each side."""
    return get(f"{PUBLIC}/Depth", {"pair": market.symbol, "count": LEVELS})


def find_sides(doc: Any, market: Traded) -> Sides:
    """A level's third member is when it last changed: no time of the book is told."""
    told = _only(member(doc, "result"), market)
    return Sides(told["bids"], told["asks"])


def _only(result: Any, market: Traded) -> Any:
    """What an answer holds of a pair, under its key or another of its names.

    Beside it there is at most `last`, a cursor.
    """
    for name in (market.symbol, market.alias):
        if isinstance(result, dict) and name in result:
            return result[name]
    raise VenueChanged(f"changed: {market.symbol} is missing from the answer")


CANDLES = CandleSource(candles, parse_candles, Paging(KEPT, pages=1, reach=KEPT))
BOOKS = BookSource(book, find_sides)
