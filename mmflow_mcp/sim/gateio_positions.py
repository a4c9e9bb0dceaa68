"""Gate's shares of holders and its liquidations, rendered from the market.

The points of contract_stats begin at their time, so the newest is still forming. Liquidations
without a contract are the last hour of a settlement currency, whatever from and to say.
"""

from collections.abc import Iterable
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.positions import Closure, closures, long_share
from mmflow_mcp.sim.wire import fixed, shortest

Row = dict[str, Any]


def tell_holders(market: Market, listing: Listing, at_s: int, step_s: int, now_ms: int) -> Row:
    """The ratios of an interval at its end (now, while it lasts), and what it liquidated."""
    begin, end = at_s * 1000, min((at_s + step_s) * 1000, now_ms)
    rows: Row = {}
    for name, view in (("lsr_account", "global"), ("top_lsr_size", "top")):
        longs = long_share(market, "gateio", listing.coin, view, end)
        rows[name] = longs / (1.0 - longs)
    done = closures(market, listing, begin - 1, end - 1) if end > begin else []
    for side, long in (("long", True), ("short", False)):
        same = [one for one in done if one.long == long]
        rows[f"{side}_liq_size"] = sum(one.size for one in same)
        rows[f"{side}_liq_amount"] = sum(one.usd / one.price for one in same)
        rows[f"{side}_liq_usd"] = round(sum(one.usd for one in same), 6)
    return rows


def tell_orders(
    market: Market, listings: Iterable[Listing], first_ms: int, last_ms: int, limit: int
) -> list[Row]:
    """Liquidations in a span, newest first."""
    found = [
        one for listing in listings for one in closures(market, listing, first_ms - 1, last_ms)
    ]
    found.sort(key=lambda one: (-one.at_ms, one.listing.symbol))
    return [_tell(one) for one in found[:limit]]


def hour_before(now_ms: int) -> int:
    """Where the hour begins that is told without a contract."""
    return now_ms - HOUR_MS + 1000


def tell_order_price(one: Closure) -> str:
    """What the liquidating order asked for: it was filled at a better price."""
    asked = one.price * (0.997 if one.long else 1.003)
    return shortest(float(fixed(asked, one.listing.price_digits)))


def _tell(one: Closure) -> Row:
    """`size` is the signed position, of which `order_size` was traded (the rest is left)."""
    size = int(one.size) if one.size == int(one.size) else one.size
    position = 2 * size if one.at_ms // 1000 % 7 == 0 else size
    sign = 1 if one.long else -1
    digits = one.listing.price_digits
    return {
        "time": one.at_ms // 1000,
        "contract": one.listing.symbol,
        "size": sign * position,
        "order_size": -sign * size,
        "order_price": tell_order_price(one),
        "fill_price": fixed(one.price, digits),
        "left": 0,
    }
