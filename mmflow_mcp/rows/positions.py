"""Rows of positioning and liquidations."""

from dataclasses import dataclass

from mmflow_mcp.rows.told import told


@dataclass(frozen=True, slots=True)
class PositioningRow:
    """How holders of a perpetual are positioned, as a share."""

    coin: str = told("canonical ticker")
    venue: str = told("venue id")
    view: str = told("global: share of accounts; top: position-weighted share of the largest")
    long_fraction: float = told("share that is long, 0 to 1", digits="ratio")
    long_short_ratio: float | None = told("long / short; null when nobody is short", digits="ratio")
    fetched_at: int = told("when the wire was read, epoch ms", brief=False)
    sampled_at: int = told("end of the venue's sample, epoch ms", brief=False)
    period: str = told("15m, 1h or 4h", brief=False)


@dataclass(frozen=True, slots=True)
class LiquidationPrint:
    """One liquidation as a venue reports it. `side` is that of the position: long or short."""

    coin: str
    venue: str
    symbol: str
    ts: int
    side: str
    price: float
    size: float
    notional_usd: float
    fetched_at: int
