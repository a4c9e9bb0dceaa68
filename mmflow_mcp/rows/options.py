"""Rows of options."""

from dataclasses import dataclass

from mmflow_mcp.rows.told import told


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One listed option."""

    instrument: str = told("the venue's name, e.g. BTC-25DEC26-100000-C")
    underlying: str = told("BTC, ETH, SOL or XRP", brief=False)
    strike: float = told("strike price, USD")
    expiry_ms: int = told("expiry, epoch ms (08:00 UTC)")
    type: str = told("C = call, P = put")
    oi: float | None = told("open interest in coins of the underlying")
    volume24h: float | None = told("24 h volume in coins", brief=False)
    mark_iv: float | None = told("implied volatility of the mark, percent")
    mark_price: float | None = told(
        "mark: in coins of the underlying for BTC and ETH, in USDC per coin for SOL and XRP"
    )
    underlying_price: float | None = told("forward of this expiry, USD")


@dataclass(frozen=True, slots=True)
class OptionChain:
    """All options of one underlying at one moment.

    `index_price` is the spot index the venue settles against (None where it could not be read);
    `dropped` counts rows that could not be understood.
    """

    underlying: str
    rows: tuple[OptionRow, ...]
    index_price: float | None
    fetched_at: int
    dropped: int = 0
