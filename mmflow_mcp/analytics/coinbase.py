"""What US spot buyers pay on Coinbase, as a proxy of ETF demand (METHODS 9). Pure.

It is a read of one venue, not attribution of ETF flows.
"""

from collections.abc import Iterable
from statistics import median

from mmflow_mcp.analytics.spreads import LEAST_VENUES, Spread, basis_bps
from mmflow_mcp.analytics.states import LIVE, NONE
from mmflow_mcp.rows.spot import TradePrint

VENUE = "coinbase"
# Without it a share of the volume means nothing: it is the largest market.
LARGEST = "binance"
LABEL = "Coinbase proxy-only venue pressure read; not ETF attribution"
REFERENCE = "median ex-coinbase"
WINDOW_MS = 300_000


def premium_bps(spread: Spread) -> float | None:
    """Coinbase over the median of the other fresh venues, basis points.

    With itself inside the median it would hide half of its own move. Null while its price is
    stale, or with fewer than two others.
    """
    fresh = {row.venue: row.price_usd for row in spread.rows if not row.stale}
    own = fresh.pop(VENUE, None)
    if own is None or len(fresh) < LEAST_VENUES:
        return None
    return basis_bps(own, median(fresh.values()))


def premium_state(spread: Spread) -> str:
    """live; none without a premium: a stale price is no premium, it is a price of another time."""
    return NONE if premium_bps(spread) is None else LIVE


def volume_share(spread: Spread) -> float | None:
    """Coinbase's part of what the venues traded in 24 h, by notional, 0..1.

    Null without a fresh volume of Coinbase or of Binance.
    """
    notional = {
        row.venue: row.volume24h * row.price_usd
        for row in spread.rows
        if row.volume24h is not None and not row.stale
    }
    total = sum(notional.values())
    if VENUE not in notional or LARGEST not in notional or total <= 0:
        return None
    return notional[VENUE] / total


def taker_delta(prints: Iterable[TradePrint]) -> float:
    """What takers bought less what they sold, in the quote currency."""
    return sum((1 if p.side == "buy" else -1) * p.price * p.size for p in prints)


def confidence_of(
    premium: float | None,
    fresh_others: int,
    delta: float | None,
    *,
    daily_is_recent: bool,
    us_hours: bool,
) -> str:
    """high, medium or low: a point each for premium, three reference venues, tape and daily flow.

    All four, with premium and delta of one sign inside US trading hours, are high; three medium.
    """
    points = [premium is not None, fresh_others >= 3, delta is not None, daily_is_recent]
    if all(points) and us_hours and premium is not None and delta is not None:
        return "high" if premium * delta > 0 else "medium"
    return "medium" if sum(points) >= 3 else "low"
