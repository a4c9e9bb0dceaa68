"""Klines and depth of binance's USD-M futures and of aster, rendered from the market.

Klines are arrays, oldest first; with startTime the oldest from there on, without it the newest. The
last one may still run, and its closing time lies ahead. Sizes are in units of the base asset.
"""

from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim import look_alike as like
from mmflow_mcp.sim.bars import MINUTE_MS, Bar, bars, book
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import Handler, SimRequest, SimResponse, answer, fixed

_INTERVALS = {
    "1m": MINUTE_MS, "3m": 3 * MINUTE_MS, "5m": 5 * MINUTE_MS, "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS, "1h": HOUR_MS, "2h": 2 * HOUR_MS, "4h": 4 * HOUR_MS, "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS, "12h": 12 * HOUR_MS, "1d": DAY_MS,
}  # fmt: skip
_NO_INTERVAL = ({"code": -1120, "msg": "Invalid interval."}, 400)
_NO_DEPTH = ({"code": -4021, "msg": "Not valid depth limit."}, 400)
_KLINES = 1500
_DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}


def klines_handler(market: Market, lister: like.Lister, meter: like.Meter) -> Handler:
    """Up to 1,500 candles of one symbol; they weigh by how many may come."""

    def handle(request: SimRequest) -> SimResponse:
        limit = like.limit_of(request, 500, _KLINES)
        weight = 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
        headers = meter.say(weight, request.now_ms)
        item = like.find(lister(request.now_ms), request.query.get("symbol", ""))
        if item is None:
            return answer(*like.NO_SYMBOL, headers)
        step = _INTERVALS.get(request.query.get("interval", ""))
        if step is None:
            return answer(*_NO_INTERVAL, headers)
        start, end = like.number(request, "startTime"), like.number(request, "endTime")
        until = min(request.now_ms, request.now_ms if end is None else end + 1)
        first = max(like.FIRST_MS, until - limit * step if start is None else start)
        found = bars(market, item, first, min(until, first + limit * step), step, request.now_ms)
        return answer([_tell(item, one, step) for one in found], 200, headers)

    return handle


def depth_handler(market: Market, lister: like.Lister, meter: like.Meter) -> Handler:
    """Certain numbers of levels only; `E` is when it is told, `T` when it changed."""

    def handle(request: SimRequest) -> SimResponse:
        limit = like.number(request, "limit") or 500
        headers = meter.say(_DEPTH_WEIGHTS.get(limit, 1), request.now_ms)
        item = like.find(lister(request.now_ms), request.query.get("symbol", ""))
        if item is None:
            return answer(*like.NO_SYMBOL, headers)
        if limit not in _DEPTH_WEIGHTS:
            return answer(*_NO_DEPTH, headers)
        told = book(market, item, request.now_ms, limit)

        def tell(levels: tuple[tuple[float, float], ...]) -> list[list[str]]:
            digits = item.price_digits, max(item.size_digits, 0)
            return [[fixed(p, digits[0]), fixed(size, digits[1])] for p, size in levels]

        times = {"lastUpdateId": told.at_ms * 10, "E": told.at_ms, "T": told.at_ms - 9}
        return answer({**times, "bids": tell(told.bids), "asks": tell(told.asks)}, 200, headers)

    return handle


def _tell(item: Listing, one: Bar, step: int) -> list[Any]:
    digits, sizes = item.price_digits, max(item.size_digits, 0) + 2
    return [
        one.start_ms,
        fixed(one.open, digits),
        fixed(one.high, digits),
        fixed(one.low, digits),
        fixed(one.close, digits),
        fixed(one.units, sizes),
        one.start_ms + step - 1,
        fixed(one.turnover, 4),
        one.trades,
        fixed(one.units * 0.45, sizes),
        fixed(one.turnover * 0.45, 4),
        "0",
    ]
