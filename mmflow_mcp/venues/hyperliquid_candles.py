"""Candles and order books of Hyperliquid's core perpetuals.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint

Prices and sizes are in units of the symbol (kPEPE: a thousand PEPE). The venue keeps the newest
5,000 candles of an interval and answers with the one that holds the start as well. A book has 20
levels a side; fewer figures (`nSigFigs`) would reach further and blur the best prices.
"""

from typing import Any

from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.upstream.wire import Call, Wire, ask_json
from mmflow_mcp.venues.candle_rows import read_candle
from mmflow_mcp.venues.candle_series import CandleSource
from mmflow_mcp.venues.candle_spans import STEPS, Page, Paging
from mmflow_mcp.venues.fields import each, member, ms
from mmflow_mcp.venues.order_books import BookSource, Sides
from mmflow_mcp.venues.traded import Traded

INFO = "https://api.hyperliquid.xyz/info"
KEPT = 5000


def candles(market: Traded, page: Page) -> Call:
    """The candles of a page; 20, and 1 for every 60 of them."""
    window = {
        "coin": market.symbol,
        "interval": page.interval,
        "startTime": page.first_ms,
        "endTime": page.until_ms - 1,
    }
    body = {"type": "candleSnapshot", "req": window}
    return ask_json(INFO, body, label="candleSnapshot", weight=20 + page.size // 60)


def parse_candles(wire: Wire, market: Traded, step_ms: int) -> tuple[list[Candle], int]:
    """`t` opens, `T` closes; `s` and `i` repeat the market and the interval."""

    def read(row: dict[str, Any]) -> Candle:
        if (row["s"], STEPS.get(row["i"])) != (market.symbol, step_ms):
            msg = "another market's candle, or of another length"
            raise ValueError(msg)
        prices = row["o"], row["h"], row["l"], row["c"]
        return read_candle(int(row["t"]), prices, row["v"], market, step_ms)

    return each(wire.doc, read)


def book(market: Traded) -> Call:
    """The 20 best levels of each side, in full precision."""
    return ask_json(INFO, {"type": "l2Book", "coin": market.symbol}, label="l2Book", weight=2)


def find_sides(doc: Any, market: Traded) -> Sides:
    """Levels are objects, bids first."""
    if doc["coin"] != market.symbol:
        msg = "another market's book"
        raise ValueError(msg)
    bids, asks = member(doc, "levels")
    return Sides(bids, asks, ms(doc.get("time")), "px", "sz")


CANDLES = CandleSource(candles, parse_candles, Paging(KEPT, pages=1, reach=KEPT))
BOOKS = BookSource(book, find_sides)
