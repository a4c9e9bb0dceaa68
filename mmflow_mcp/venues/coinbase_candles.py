"""Candles of Coinbase Exchange, and order books of the same engine from Coinbase Advanced Trade.

https://docs.cdp.coinbase.com/exchange/reference/exchangerestapi_getproductcandles
https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/get-public-product-book

A candle is an array in an order of its own: time in seconds, low, high, open, close, volume in
coins; newest first, 300 at most, and some may be older than the start. An interval without a trade
has none. There are no candles of 30 minutes and of 4 hours.

The Exchange's book comes whole, several megabytes of it; Advanced Trade tells as many levels as
are asked for, of the same products in one book.
"""

from datetime import UTC, datetime
from typing import Any

from mmflow_mcp.rows.candles import Candle
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.candle_rows import read_candle
from mmflow_mcp.venues.candle_series import CandleSource
from mmflow_mcp.venues.candle_spans import STEPS, Page, Paging
from mmflow_mcp.venues.fields import each
from mmflow_mcp.venues.order_books import BookSource, Sides
from mmflow_mcp.venues.traded import Traded

ADVANCED_HOST = "api.coinbase.com"
PRODUCTS = "https://api.exchange.coinbase.com/products"
BOOK = f"https://{ADVANCED_HOST}/api/v3/brokerage/market/product_book"

PAGE = 300
LEVELS = 500
_LACKING = {"30m", "4h"}


def candles(market: Traded, page: Page) -> Call:
    """The candles of a page; both ends of the window are inclusive."""
    params: dict[str, str | int] = {
        "granularity": page.step_ms // 1000,
        "start": _iso(page.first_ms),
        "end": _iso(page.until_ms - page.step_ms),
    }
    return get(f"{PRODUCTS}/{market.symbol}/candles", params)


def _iso(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def parse_candles(wire: Wire, market: Traded, step_ms: int) -> tuple[list[Candle], int]:
    """Low and high stand before open and close."""

    def read(row: list[Any]) -> Candle:
        at, low, high, opened, closed, volume = row
        return read_candle(int(at) * 1000, (opened, high, low, closed), volume, market, step_ms)

    return each(wire.doc, read)


def book(market: Traded) -> Call:
    """The 500 best levels of each side."""
    return get(BOOK, {"product_id": market.symbol, "limit": LEVELS})


def find_sides(doc: Any, market: Traded) -> Sides:
    """Levels are objects; the time is ISO in UTC."""
    told = doc["pricebook"]
    if told["product_id"] != market.symbol:
        msg = "another product's book"
        raise ValueError(msg)
    return Sides(told["bids"], told["asks"], _moment(told.get("time")), "price", "size")


def _moment(text: str | None) -> int | None:
    return round(datetime.fromisoformat(text).timestamp() * 1000) if text else None


_STEPS = [step for name, step in STEPS.items() if name not in _LACKING]
# A month of half hours is ten of quarters.
CANDLES = CandleSource(candles, parse_candles, Paging(PAGE, pages=10, steps=_STEPS))
BOOKS = BookSource(book, find_sides)
