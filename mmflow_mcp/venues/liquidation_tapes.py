"""What venues' liquidation records have in common: METHODS section 6.

A record says whose position was closed, at what price and how much of it. What a venue told of a
coin, however it was asked, becomes one tape that says since when it is whole.
"""

from collections.abc import Iterable

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.rows.positions import LiquidationPrint, LiquidationTape
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import MAX_USD, positive

WINDOW_MS = DAY_MS
# Records are kept for an hour more, so that a moving window never lacks its oldest.
KEPT_MS = DAY_MS + HOUR_MS
LONG, SHORT = "long", "short"
# No venue tells older ones, and none from the future.
_FARTHEST_MS = 31 * DAY_MS


def liquidation(
    venue: str,
    contract: Contract,
    *,
    ts: int,
    side: str,
    price: float,
    count: float,
    fetched_at: int,
) -> LiquidationPrint:
    """A record from contracts and their price: USD = count x size x price, inverse count x size.

    `price` in USD per unit of the symbol. Raises ValueError for what cannot be priced.
    """
    units = positive(count) * positive(contract.size)
    usd = units if contract.margin == "inverse" else units * positive(price)
    if usd >= MAX_USD or abs(fetched_at - ts) > _FARTHEST_MS:
        msg = "not a liquidation"
        raise ValueError(msg)
    per_coin = positive(price) / contract.multiplier
    return LiquidationPrint(
        coin=contract.coin,
        venue=venue,
        symbol=contract.symbol,
        ts=ts,
        side=side,
        price=per_coin,
        size=usd / per_coin,
        notional_usd=usd,
        fetched_at=fetched_at,
    )


def tape_of(
    coin: str,
    venue: str,
    records: Iterable[LiquidationPrint],
    *,
    since_ms: int,
    fetched_at: int,
) -> LiquidationTape:
    """The records of a coin, newest first, each once; older ones than are kept are left out."""
    known = {record.key: record for record in records if record.ts > fetched_at - KEPT_MS}
    prints = tuple(sorted(known.values(), key=lambda record: -record.ts))
    return LiquidationTape(coin, venue, since_ms, fetched_at, prints)
