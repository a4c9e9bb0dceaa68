"""Rows of single sources: ETF flows, company treasuries, on-chain valuation."""

from dataclasses import dataclass

from mmflow_mcp.rows.told import maybe, told


@dataclass(frozen=True, slots=True)
class EtfFlowRow:
    """Net flows of one session, US$ millions; a ticker without a published figure is absent."""

    date_label: str = told("date as the table prints it, e.g. 16 May 2026")
    date_ms: int = told("00:00 UTC of the session, epoch ms", brief=False)
    values: dict[str, float] = told("net flow by fund, US$ millions; outflow negative")
    total: float | None = told("sum of all funds, US$ millions", digits="usd")
    partial: bool | None = maybe("true while not all funds have reported", brief=True)


@dataclass(frozen=True, slots=True)
class EtfTable:
    """The flow table of one asset, newest row first.

    `cumulative_usdm` covers every session since the funds began, up to the newest complete one.
    `source`: as `meta.source` names it; `publisher`: who must be named with the numbers.
    """

    asset: str
    tickers: tuple[str, ...]
    rows: tuple[EtfFlowRow, ...]
    cumulative_usdm: float | None
    fetched_at: int
    source: str
    publisher: str = ""

    @property
    def latest(self) -> EtfFlowRow | None:
        """The newest session that all funds have reported; the rows before it are `partial`."""
        return next((row for row in self.rows if not row.partial), None)


@dataclass(frozen=True, slots=True)
class TreasuryRow:
    """One public company's holdings."""

    name: str = told("company")
    symbol: str | None = told("stock ticker")
    country: str | None = told("country code", brief=False)
    total_holdings: float = told("coins held", digits="coins")
    total_entry_value_usd: float | None = told(
        "cost, USD; null = not disclosed", digits="usd", brief=False
    )
    total_current_value_usd: float | None = told("value now, USD", digits="usd")
    percentage_of_total_supply: float | None = told("percent of all coins")


@dataclass(frozen=True, slots=True)
class TreasuryTable:
    """All companies that hold one asset."""

    asset: str
    total_holdings: float
    total_value_usd: float | None
    market_cap_dominance: float | None
    companies: tuple[TreasuryRow, ...]
    fetched_at: int


@dataclass(frozen=True, slots=True)
class Valuation:
    """On-chain valuation of bitcoin; each figure null where its source could not be read."""

    asset: str = told("bitcoin")
    mvrv_z_score: float | None = told("(market cap - realised cap) / sd of market caps")
    nupl: float | None = told("1 - realised cap / market cap, fraction")
    puell_multiple: float | None = told("daily issuance in USD / its 365-day mean")
    reserve_risk: float | None = told("price / HODL bank")
    realized_cap: float | None = told("USD", digits="usd")
    as_of_date: str | None = told("oldest date among the figures, YYYY-MM-DD")
    fetched_at: int = told("when the oldest of them was read, epoch ms", brief=False)
    stale: bool | None = maybe("true when a figure is older than its source promises")
    as_of_by_metric: dict[str, str] | None = maybe("date of each figure")
    spot: float | None = maybe("price at the end of asOfDate, from another source, USD")
