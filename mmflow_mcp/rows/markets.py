"""Rows of what venues list."""

from dataclasses import dataclass

from mmflow_mcp.rows.told import told


@dataclass(frozen=True, slots=True)
class MarketRow:
    """One market that a venue lists."""

    exchange: str = told("venue id", brief=False)
    symbol: str = told("the venue's own name of the market")
    coin: str | None = told("canonical ticker, null for what is no coin (stocks, metals, FX)")
    kind: str = told("perp, future, option, spot or prediction")
    label: str = told("readable name", brief=False)
