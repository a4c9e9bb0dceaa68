"""Bybit's candles and order books, rendered from the market: lists of text, newest first."""

from typing import Any

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.sim.bars import MINUTE_MS, Bar, bars, book
from mmflow_mcp.sim.bybit_requests import Refused, find_listing, read_category, read_whole
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import SimRequest, fixed, shortest

_LENGTHS = {str(n): n * MINUTE_MS for n in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)}
_LENGTHS |= {"D": DAY_MS}
_SINCE_MS = 5 * 365 * DAY_MS


def show_candles(market: Market, request: SimRequest) -> dict[str, Any]:
    """The newest candles that open from `start` to `end`, both included."""
    category = read_category(request, "linear", "inverse", "spot")
    listing = find_listing(market, request, category)
    length = _LENGTHS.get(request.query.get("interval", ""))
    if length is None:
        raise Refused(10001, "params error: interval is invalid")
    limit = min(1000, max(1, read_whole(request, "limit", 200)))
    until = min(request.now_ms, read_whole(request, "end", request.now_ms)) + 1
    first = read_whole(request, "start", until - limit * length)
    # Only the newest ones count, so the older ones need not be worked out.
    first = max(first, until - 1 - limit * length, request.now_ms - _SINCE_MS)
    found = bars(market, listing, first, until, length, request.now_ms)
    rows = [_tell(listing, bar) for bar in reversed(found)][:limit]
    return {"category": category, "symbol": listing.symbol, "list": rows}


def _tell(listing: Listing, bar: Bar) -> list[str]:
    """[opening, open, high, low, close, volume, turnover]: on inverse contracts USD and coins."""
    prices = (bar.open, bar.high, bar.low, bar.close)
    amounts = [shortest(bar.units), shortest(bar.turnover)]
    if listing.margin == "inverse":
        amounts.reverse()
    return [str(bar.start_ms), *(fixed(price, listing.price_digits) for price in prices), *amounts]


def show_book(market: Market, request: SimRequest) -> dict[str, Any]:
    """Levels [price, size]; sizes of inverse contracts are USD."""
    category = read_category(request, "linear", "inverse", "spot")
    listing = find_listing(market, request, category)
    limit = min(1000, max(1, read_whole(request, "limit", 25)))
    told = book(market, listing, request.now_ms, limit)

    def side(levels: tuple[tuple[float, float], ...]) -> list[list[str]]:
        inverse = listing.margin == "inverse"
        return [
            [fixed(price, listing.price_digits), shortest(round(size * price) if inverse else size)]
            for price, size in levels
        ]

    return {
        "s": listing.symbol,
        "b": side(told.bids),
        "a": side(told.asks),
        "ts": request.now_ms,
        "u": request.now_ms // 1000,
        "seq": request.now_ms // 100,
        "cts": request.now_ms - 12,
    }
