"""Hyperliquid's candleSnapshot and l2Book, rendered from the market."""

from math import ceil, floor, log10
from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.bars import MINUTE_MS, Bar, bars, book
from mmflow_mcp.sim.hyperliquid_rows import MALFORMED, NO_MARKET, decimal, find
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import SimResponse, answer

_INTERVALS = {
    "1m": MINUTE_MS, "3m": 3 * MINUTE_MS, "5m": 5 * MINUTE_MS, "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS, "1h": HOUR_MS, "2h": 2 * HOUR_MS, "4h": 4 * HOUR_MS, "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS, "1d": DAY_MS,
}  # fmt: skip
_KEPT = 5000
_LEVELS = 20
# So many levels in full precision are what a coarser book is made of.
_DEEP = 1000

Levels = tuple[tuple[float, float], ...]


def show_candles(market: Market, asked: dict[str, Any], now_ms: int) -> SimResponse:
    """Ascending, the newest 5,000 at most, from the one on that holds the start."""
    told = asked.get("req")
    req = told if isinstance(told, dict) else {}
    coin, step = req.get("coin"), _INTERVALS.get(str(req.get("interval")))
    start, end = req.get("startTime"), req.get("endTime", now_ms)
    if not isinstance(coin, str) or step is None:
        return MALFORMED
    if not isinstance(start, int) or not isinstance(end, int):
        return MALFORMED
    item = find(market, coin, now_ms)
    if item is None:
        return NO_MARKET
    first = max(start - start % step, now_ms - now_ms % step - (_KEPT - 1) * step)
    rows = bars(market, item, first, end + 1, step, now_ms)
    return answer([_tell(item, str(req["interval"]), step, one) for one in rows])


def _tell(item: Listing, interval: str, step: int, one: Bar) -> dict[str, Any]:
    return {
        "t": one.start_ms,
        "T": one.start_ms + step - 1,
        "s": item.symbol,
        "i": interval,
        "o": decimal(one.open),
        "c": decimal(one.close),
        "h": decimal(one.high),
        "l": decimal(one.low),
        "v": decimal(one.units),
        "n": one.trades,
    }


def show_book(market: Market, asked: dict[str, Any], now_ms: int) -> SimResponse:
    """Twenty levels a side, in full precision or of `nSigFigs` figures."""
    coin, figures = asked.get("coin"), asked.get("nSigFigs")
    if not isinstance(coin, str) or figures not in (None, 2, 3, 4, 5):
        return MALFORMED
    item = find(market, coin, now_ms)
    if item is None:
        return NO_MARKET
    told = book(market, item, now_ms, _LEVELS if figures is None else _DEEP)
    bids, asks = told.bids, told.asks
    if figures is not None:
        bids, asks = _blur(bids, figures, floor), _blur(asks, figures, ceil)
    levels = [
        [{"px": decimal(price), "sz": decimal(size), "n": 3} for price, size in side[:_LEVELS]]
        for side in (bids, asks)
    ]
    return answer({"coin": coin, "time": told.at_ms, "levels": levels})


def _blur(levels: Levels, figures: int, whole: Any) -> Levels:
    """Levels of prices of so many figures: bids rounded down, asks up."""
    sums: dict[float, float] = {}
    for price, size in levels:
        digits = figures - 1 - floor(log10(price))
        blurred = round(whole(round(price * 10.0**digits, 6)) / 10.0**digits, max(digits, 0))
        sums[blurred] = round(sums.get(blurred, 0.0) + size, 8)
    return tuple(sums.items())
