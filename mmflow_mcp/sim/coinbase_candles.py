"""Coinbase Exchange's candles, and the book as Coinbase Advanced Trade tells it.

A candle is [time in s, low, high, open, close, volume], newest first. Where nobody traded there is
none, and where there is room an older one than was asked comes along.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from mmflow_mcp.sim.bars import bars, book
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import SimRequest, SimResponse, answer, fixed

ADVANCED_HOST = "api.coinbase.com"
QUIET_MS = 900_000
"""How long ago the last trade of a quiet product was."""

_STEPS = ("60", "300", "900", "3600", "21600", "86400")
_PAGE = 300
_TOO_MANY = (
    "granularity too small for the requested time range. Count of aggregations requested exceeds"
)


def list_bars(market: Market, listing: Listing, request: SimRequest, *, quiet: bool) -> SimResponse:
    """Both ends of the window are inclusive; one of them alone is ignored."""
    granularity = request.query.get("granularity", "60")
    if granularity not in _STEPS:
        return answer({"message": "Unsupported granularity"}, 400)
    step, now = int(granularity) * 1000, request.now_ms
    first, end = now - now % step - (_PAGE - 1) * step, now
    if "start" in request.query and "end" in request.query:
        try:
            first, end = _moment(request.query["start"]), _moment(request.query["end"])
        except ValueError:
            return answer({"message": "start and end must be valid timestamps"}, 400)
        if (end - first) // step >= _PAGE:
            return answer({"message": f"{_TOO_MANY} {_PAGE}"}, 400)
        if (end - first) // step < _PAGE - 1:
            first -= step
    until = min(end, now - QUIET_MS) if quiet else end
    rows = [
        [one.start_ms // 1000, one.low, one.high, one.open, one.close, one.units]
        for one in bars(market, listing, first, until + 1, step, now)
    ]
    return answer(rows[::-1])


def _moment(text: str) -> int:
    """Epoch ms of epoch seconds or of an ISO time."""
    if text.isdecimal():
        return int(text) * 1000
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def show_book(
    market: Market, lister: Callable[[Market, int], Sequence[Listing]], request: SimRequest
) -> SimResponse:
    """The best levels of a product, as many as `limit` says."""
    now, name = request.now_ms, request.query.get("product_id")
    listed = (i for i in lister(market, now) if i.symbol == name and i.status == "live")
    listing, limit = next(listed, None), request.query.get("limit", "50")
    if listing is None or not limit.isdecimal():
        said = "valid product_id is required" if listing is None else "limit must be a number"
        error = "NOT_FOUND" if listing is None else "INVALID_ARGUMENT"
        body = {"error": error, "error_details": said, "message": said}
        return answer(body, 404 if listing is None else 400)
    told = book(market, listing, now, int(limit))

    def say(levels: tuple[tuple[float, float], ...]) -> list[dict[str, Any]]:
        return [
            {"price": fixed(p, listing.price_digits), "size": fixed(s, listing.size_digits)}
            for p, s in levels
        ]

    at = datetime.fromtimestamp(now / 1000, UTC)
    best = told.bids[0][0], told.asks[0][0]
    middle = sum(best) / 2
    sides = {"bids": say(told.bids), "asks": say(told.asks)}
    time = f"{at:%Y-%m-%dT%H:%M:%S}.{now % 1000:03d}117Z"
    return answer(
        {
            "pricebook": {"product_id": listing.symbol, **sides, "time": time},
            "last": fixed(middle, listing.price_digits + 1),
            "mid_market": fixed(middle, listing.price_digits + 1),
            "spread_bps": fixed((best[1] - best[0]) / middle * 1e4, 12),
            "spread_absolute": fixed(best[1] - best[0], listing.price_digits),
        }
    )
