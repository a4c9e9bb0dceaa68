"""Gate's histories of funding and of what a contract held, rendered from the market."""

from typing import Any

from mmflow_mcp.sim.gateio_positions import tell_holders
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import shortest

Row = dict[str, Any]


def tell_fundings(
    market: Market, listing: Listing, first_s: int, last_s: int, limit: int
) -> list[Row]:
    """Newest first; some settlements are written down a second after the hour."""
    if listing.status != "live":
        return []
    period = listing.period_hours * 3600
    settled = range(last_s - last_s % period, first_s - 1, -period)[:limit]
    return [
        {
            "t": at + (at // period) % 3 // 2,
            "r": shortest(market.settled_funding(listing, at * 1000)),
        }
        for at in settled
    ]


def tell_stats(
    market: Market, listing: Listing, step_s: int, first_s: int, limit: int, now_ms: int
) -> list[Row]:
    """Ascending points; open interest counts both sides, as in the tickers."""
    first = -(-first_s // step_s) * step_s
    moments = range(first, now_ms // 1000 + 1, step_s)[:limit]
    return [
        _tell_point(market, listing, at) | tell_holders(market, listing, at, step_s, now_ms)
        for at in moments
    ]


def _tell_point(market: Market, listing: Listing, at_s: int) -> Row:
    contracts, mark = market.held(listing, at_s * 1000)
    size = contracts * listing.contract_size
    usd = size if listing.margin == "inverse" else size * mark
    users = 40 + int(usd / 40_000)
    both = 2 * contracts
    return {
        "time": at_s,
        "lsr_taker": 1.0,
        "top_lsr_account": 0.8,
        "long_users": users,
        "short_users": users * 4 // 5,
        "open_interest": int(both) if both == int(both) else both,
        "open_interest_usd": round(2 * usd, 4),
        "mark_price": mark,
    }
