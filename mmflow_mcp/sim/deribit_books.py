"""Deribit's charts and order books, rendered from the market.

A chart is told in columns. Sizes of inverse instruments are USD in steps of a contract, those of
linear ones coins.
"""

from typing import Any

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.sim.bars import MINUTE_MS, bars, book
from mmflow_mcp.sim.market import Listing, Market

LENGTHS = {str(n): n * MINUTE_MS for n in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)}
LENGTHS |= {"1D": DAY_MS}
DEPTHS = (1, 5, 10, 20, 50, 100, 1000, 10000)
_MOST = 5000


def chart(
    market: Market, listing: Listing, first_ms: int, last_ms: int, length_ms: int, now_ms: int
) -> dict[str, Any]:
    """Candles that open from `first_ms` to `last_ms`, the newest 5,000 of them."""
    until = min(last_ms, now_ms) + 1
    first = max(first_ms, until - 1 - _MOST * length_ms)
    found = bars(market, listing, first, until, length_ms, now_ms)[-_MOST:]
    return {
        "status": "ok" if found else "no_data",
        "ticks": [one.start_ms for one in found],
        "open": [one.open for one in found],
        "high": [one.high for one in found],
        "low": [one.low for one in found],
        "close": [one.close for one in found],
        "volume": [one.units * listing.multiplier for one in found],
        "cost": [one.turnover for one in found],
    }


def sides(market: Market, listing: Listing, depth: int, now_ms: int) -> dict[str, Any]:
    """`bids` and `asks` of [price, amount]."""
    told = book(market, listing, now_ms, min(depth, 1000))

    def side(levels: tuple[tuple[float, float], ...]) -> list[list[float]]:
        if listing.margin != "inverse":
            return [[price, size] for price, size in levels]
        step = listing.contract_size
        return [[price, max(1, round(size * price / step)) * step] for price, size in levels]

    return {"bids": side(told.bids), "asks": side(told.asks)}
