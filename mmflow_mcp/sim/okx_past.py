"""OKX's histories of funding and open interest, rendered from the market, newest first.

Funding is kept for three months, open interest for three days, from an hour up for five, and for a
hundred bars of a day and more. A bar shows the moment where it begins.
"""

from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import shortest

BARS = ("5m", "15m", "30m", "1H", "2H", "4H", "6H", "12H", "1D", "2D", "3D", "5D", "1W")
_UNITS = {"m": HOUR_MS // 60, "H": HOUR_MS, "D": DAY_MS, "W": 7 * DAY_MS}
_EIGHT_HOURS_EAST = 8 * HOUR_MS
_KEPT_MS = 92 * DAY_MS


def tell_fundings(
    market: Market, listing: Listing, first_ms: int, before_ms: int, limit: int, now_ms: int
) -> list[dict[str, Any]]:
    """Settlements from `first_ms` on and before `before_ms`."""
    period = listing.period_hours * HOUR_MS
    last = before_ms - 1
    first = max(now_ms - _KEPT_MS, first_ms)
    settled = range(last - last % period, first - 1, -period)[:limit]
    return [_tell_settled(market, listing, at_ms) for at_ms in settled]


def _tell_settled(market: Market, listing: Listing, at_ms: int) -> dict[str, Any]:
    """`fundingRate` was predicted a minute before, `realizedRate` was charged."""
    # The market's rate is one function of time: what is settled is what was predicted last.
    predicted = market.settled_funding(listing, at_ms - 60_000)
    return {
        "instType": "SWAP",
        "instId": listing.symbol,
        "formulaType": "withRate",
        "fundingRate": shortest(predicted),
        "realizedRate": shortest(market.settled_funding(listing, at_ms)),
        "fundingTime": str(at_ms),
        "method": "current_period",
    }


def tell_interest(
    market: Market,
    listing: Listing,
    period: str,
    first_ms: int,
    before_ms: int,
    limit: int,
    now_ms: int,
) -> list[list[str]]:
    """[ts, contracts, coins, USD] of the bars that begin from `first_ms` on.

    Bars of six hours and more begin on the UTC+8 clock unless the period ends in "utc".
    """
    bar = period.removesuffix("utc")
    step = int(bar[:-1]) * _UNITS[bar[-1]]
    shift = _EIGHT_HOURS_EAST if step >= 6 * HOUR_MS and period == bar else 0
    kept = max(
        3 * DAY_MS, 5 * DAY_MS if step >= HOUR_MS else 0, 100 * step if step >= DAY_MS else 0
    )
    last = before_ms - 1
    first = max(now_ms - kept, first_ms)
    moments = range(last - (last + shift) % step, first - 1, -step)[:limit]
    return [[str(at), *_tell_held(market, listing, at)] for at in moments]


def _tell_held(market: Market, listing: Listing, at_ms: int) -> tuple[str, str, str]:
    """Contracts, coins and USD, one-sided."""
    contracts, mark = market.held(listing, at_ms)
    size = contracts * listing.contract_size
    inverse = listing.margin == "inverse"
    coins, usd = (size / mark, size) if inverse else (size, size * mark)
    return shortest(contracts), shortest(coins), shortest(usd)
