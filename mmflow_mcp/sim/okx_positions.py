"""OKX's ratios of longs and shorts and its liquidations, rendered from the market.

Rows of ratios are [time, longs / shorts] as text, newest first; a row's time is where its bar
begins, so the newest is still forming and shows what is now.
"""

from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.positions import Closure, closures, long_share
from mmflow_mcp.sim.wire import SimRequest, fixed, shortest

PERIODS = {"5m": HOUR_MS // 12, "15m": HOUR_MS // 4, "1H": HOUR_MS, "4H": 4 * HOUR_MS}
_REACH_MS = DAY_MS + 2 * HOUR_MS


def tell_ratios(
    market: Market, listing: Listing, view: str, step: int, request: SimRequest, limit: int
) -> list[list[str]]:
    """Bars of a swap; `limit` of them at most."""
    now = request.now_ms
    rows = []
    for begin in range(now - now % step, now - 100 * step, -step)[:limit]:
        longs = long_share(market, "okx", listing.coin, view, min(begin + step, now))
        rows.append([str(begin), fixed(longs / (1.0 - longs), 8)])
    return rows


def tell_liquidations(
    market: Market, listings: list[Listing], before_ms: int, request: SimRequest, limit: int
) -> list[dict[str, Any]]:
    """A family's liquidations before a moment, newest first, as the details of one group."""
    groups = []
    for listing in listings:
        first = request.now_ms - _REACH_MS
        found = closures(market, listing, first, min(request.now_ms, before_ms - 1))
        family = listing.symbol.rpartition("-")[0]
        groups.append(
            {
                "details": [tell_detail(one) for one in reversed(found[-limit:])],
                "instFamily": family,
                "instId": listing.symbol,
                "instType": "SWAP",
                "totalLoss": "0",
                "uly": family,
            }
        )
    return [group for group in groups if group["details"]]


def tell_detail(one: Closure) -> dict[str, str]:
    """`posSide` is whose position it was; every fifth second tells it by the order alone."""
    side = "long" if one.long else "short"
    return {
        "bkLoss": "0",
        "bkPx": fixed(one.price, one.listing.price_digits),
        "ccy": "",
        "posSide": "net" if one.at_ms // 1000 % 5 == 0 else side,
        "side": "sell" if one.long else "buy",
        "sz": shortest(one.size),
        "time": str(one.at_ms),
        "ts": str(one.at_ms),
    }
