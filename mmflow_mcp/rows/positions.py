"""Rows of positioning and liquidations."""

from dataclasses import dataclass

from mmflow_mcp.rows.told import maybe, told

# How often positioning is sampled, in ms.
PERIOD_MS = {"15m": 900_000, "1h": 3_600_000, "4h": 14_400_000}


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
    divergence: float | None = maybe(
        "on top rows: top - global share of this venue; negative: large accounts less long",
        brief=True,
        digits="ratio",
    )
    stale: bool | None = maybe("true when the sample is older than 2 periods")


@dataclass(frozen=True, slots=True)
class LiquidationPrint:
    """One liquidation as a venue reports it. `side` is that of the position: long or short.

    `price` in USD per coin, `size` in coins, `ts` the venue's own time in epoch ms.
    """

    coin: str
    venue: str
    symbol: str
    ts: int
    side: str
    price: float
    size: float
    notional_usd: float
    fetched_at: int

    @property
    def key(self) -> tuple[str, str, int, str, float, float]:
        """What tells two records apart: the same from two requests or a feed count once."""
        return self.venue, self.symbol, self.ts, self.side, self.price, self.size


@dataclass(frozen=True, slots=True)
class LiquidationTape:
    """What is known of the liquidations of one coin on one venue since a moment.

    Between `since_ms` and `fetched_at` nothing is missing that the venue published, but in the
    `gaps` (from, until), oldest first; no prints then means that it published none. Whether
    requests or a feed brought them does not show.
    """

    coin: str
    venue: str
    since_ms: int
    fetched_at: int
    prints: tuple[LiquidationPrint, ...]
    gaps: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class LiquidationRow:
    """Liquidations of one coin in the last 24 hours, over venues."""

    coin: str = told("canonical ticker")
    long24h_usd: float = told("long positions closed by force, USD", digits="usd")
    short24h_usd: float = told("short positions closed by force, USD", digits="usd")
    max24h_usd: float = told("largest single record, USD", digits="usd")
    venues: tuple[str, ...] = told("venues whose data are in it, also when their sum is 0")
    fetched_at: int = told("when the oldest wire was read, epoch ms", brief=False)
    records24h: int = told("records counted", brief=False)
