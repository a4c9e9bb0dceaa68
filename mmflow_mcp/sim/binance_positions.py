"""Binance's ratios of longs and shorts, rendered from the market: /futures/data on fapi.

Ascending samples on the period's grid, of the last 30 days; no weight, no header.
"""

from functools import partial
from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim import look_alike as like
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.positions import long_share
from mmflow_mcp.sim.wire import Routes, SimRequest, SimResponse, answer, fixed

_PERIODS = {
    "5m": HOUR_MS // 12, "15m": HOUR_MS // 4, "30m": HOUR_MS // 2, "1h": HOUR_MS,
    "2h": 2 * HOUR_MS, "4h": 4 * HOUR_MS, "6h": 6 * HOUR_MS, "12h": 12 * HOUR_MS, "1d": DAY_MS,
}  # fmt: skip
_VIEWS = {"globalLongShortAccountRatio": "global", "topLongShortPositionRatio": "top"}


def ratio_routes(market: Market, listed: like.Lister, host: str) -> Routes:
    """The two paths."""
    return {
        ("GET", host, f"/futures/data/{path}"): partial(_show, market, listed, view)
        for path, view in _VIEWS.items()
    }


def _show(market: Market, listed: like.Lister, view: str, request: SimRequest) -> SimResponse:
    period = _PERIODS.get(request.query.get("period", ""))
    if period is None:
        return answer(*like.missing("period"))
    symbol = request.query.get("symbol")
    if not symbol:
        return answer(*like.missing("symbol"))
    item = like.find(listed(request.now_ms), symbol)
    if item is None or item.kind != "perp" or item.status != "live":
        return answer(*like.NO_SYMBOL)
    until = min(like.number(request, "endTime") or request.now_ms, request.now_ms)
    first = max(request.now_ms - 30 * DAY_MS, like.number(request, "startTime") or 0)
    grid = range(-(-first // period) * period, until + 1, period)
    moments = grid[-like.limit_of(request, 30, 500) :]
    shares = [(at, long_share(market, "binance", item.coin, view, at)) for at in moments]
    return answer([_tell(symbol, at, longs) for at, longs in shares])


def _tell(symbol: str, at_ms: int, longs: float) -> dict[str, Any]:
    shorts = round(1.0 - longs, 4)
    return {
        "symbol": symbol,
        "longAccount": fixed(longs, 4),
        "longShortRatio": fixed(longs / shorts, 4),
        "shortAccount": fixed(shorts, 4),
        "timestamp": at_ms,
    }
