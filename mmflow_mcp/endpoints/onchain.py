"""Single sources: ETF flows, company treasuries, on-chain valuation of bitcoin."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mmflow_mcp.analytics.valuation import (
    MAX_OFF,
    mvrv_of,
    percent_off,
    price_of,
    signs_agree,
    supply_on,
)
from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.core.pulse import is_behind
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import ask_venues, meta_of
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import Query
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.rows import camel, maybe, told
from mmflow_mcp.rows.onchain import EtfFlowRow, EtfTable, TreasuryRow, TreasuryTable, Valuation
from mmflow_mcp.venues.capabilities import EtfFlows, OnchainValuation, Treasuries

# A daily figure may be two days old while it is the newest there is.
_OLDEST_FIGURE_MS = 3 * DAY_MS
_NAMES = {"btc": "bitcoin", "xbt": "bitcoin", "eth": "ethereum", "ether": "ethereum"}


def _asset(value: Any) -> str:
    name = value.strip().casefold() if isinstance(value, str) else ""
    name = _NAMES.get(name, name)
    if name not in ("bitcoin", "ethereum"):
        raise BadQuestion(
            "asset", f"{str(value)[:40]!r} is not covered.", fits="bitcoin or ethereum"
        )
    return name


class AssetQuery(Query):
    """Which asset."""

    asset: Annotated[Literal["bitcoin", "ethereum"], BeforeValidator(_asset)] = Field(
        default="bitcoin", description="bitcoin or ethereum"
    )


class EtfFlowsQuery(AssetQuery):
    """Whose funds."""


class TreasuriesQuery(AssetQuery):
    """Whose holders."""


class ValuationQuery(Query):
    """Bitcoin is all there is."""


@dataclass(frozen=True, slots=True)
class EtfFlowsAnswer:
    """The flow table of one asset, oldest session first."""

    asset: str = told("as asked")
    tickers: tuple[str, ...] = told("the funds", brief=False)
    rows: Table[EtfFlowRow] = told("by session, oldest first")
    latest_total_usdm: float | None = told("newest complete session, US$ millions", digits="usd")
    cumulative_usdm: float | None = told("all complete sessions, US$ millions", digits="usd")
    fetched_at: int = told("when the table was read, epoch ms", brief=False)
    latest_date_ms: int | None = maybe("00:00 UTC of that session, epoch ms", brief=True)
    publisher: str | None = maybe("who published the table", brief=True)


@dataclass(frozen=True, slots=True)
class TreasuriesAnswer:
    """Public companies that hold an asset, as published."""

    asset: str = told("as asked")
    total_holdings: float = told("coins held by all listed companies", digits="coins")
    total_value_usd: float | None = told("USD", digits="usd")
    market_cap_dominance: float | None = told("percent of the asset's market cap")
    companies: Table[TreasuryRow] = told("by holdings, largest first")
    fetched_at: int = told("when the list was read, epoch ms", brief=False)


@dataclass(frozen=True, slots=True)
class ValuationAnswer:
    """Valuation of bitcoin; a figure that could not be had is null."""

    asset: str = told("bitcoin")
    mvrv_z_score: float | None = told("(market cap - realised cap) / sd of market caps")
    nupl: float | None = told("1 - realised cap / market cap, fraction")
    puell_multiple: float | None = told("daily issuance in USD / its 365-day mean")
    reserve_risk: float | None = told("price / HODL bank")
    realized_cap: float | None = told("USD", digits="usd")
    as_of_date: str | None = told("oldest date among the figures, YYYY-MM-DD")
    fetched_at: int = told("when the oldest of them was read, epoch ms", brief=False)
    as_of_by_metric: dict[str, str] | None = maybe("date of each figure", brief=True)
    mvrv: float | None = maybe("1 / (1 - nupl); not MVRV-Z", brief=True, digits="ratio")
    implied_price: float | None = maybe(
        "USD per coin that nupl and realizedCap imply", brief=True, digits="usd"
    )
    spot: float | None = maybe("price of that day, USD: the check", brief=True, digits="usd")


@endpoint(
    "/onchain/etf-flows",
    title="Spot ETF daily flows",
    ttl=600,
    example={"asset": "bitcoin"},
    keeps="the newest sessions",
    limit=10,
    detail=False,
)
async def get_etf_flows(core: Core, query: EtfFlowsQuery) -> Answer[EtfFlowsAnswer]:
    """Daily net flows of US spot ETFs by fund, for bitcoin or ether.

    For the live Coinbase read use get_etf_proxy. US$ millions, outflow negative. Rows marked
    partial are not final.
    """
    found = await ask_venues(
        core, EtfFlows, None, None, default=("farside",), options={"asset": query.asset}
    )
    table: EtfTable = found.rows[0]
    latest = table.latest
    _note_stale(found)
    if is_behind(table, core.moment(table.fetched_at)):
        _note(found, "farside", "stale", "stale: the newest session is not in the table")
    meta = meta_of(core, found)
    meta["source"] = _prefix(core) + table.source
    data = EtfFlowsAnswer(
        asset=table.asset,
        tickers=table.tickers,
        rows=Table(EtfFlowRow, table.rows[::-1], matters=lambda row: float(row.date_ms)),
        latest_total_usdm=latest.total if latest else None,
        cumulative_usdm=table.cumulative_usdm,
        fetched_at=table.fetched_at,
        latest_date_ms=latest.date_ms if latest else None,
        publisher=table.publisher or None,
    )
    return Answer(data, meta, found.until)


@endpoint(
    "/onchain/treasuries",
    title="Company treasuries",
    ttl=600,
    example={"asset": "bitcoin"},
    keeps="the largest holders",
    limit=20,
    detail=False,
)
async def get_treasuries(core: Core, query: TreasuriesQuery) -> Answer[TreasuriesAnswer]:
    """Coins held by public companies, for bitcoin or ether.

    For ETFs use get_etf_flows. Holdings in coins, values in USD, shares in percent. Cost null: not
    disclosed.
    """
    found = await ask_venues(
        core, Treasuries, None, None, default=("coingecko",), options={"asset": query.asset}
    )
    table: TreasuryTable = found.rows[0]
    _note_stale(found)
    data = TreasuriesAnswer(
        asset=table.asset,
        total_holdings=table.total_holdings,
        total_value_usd=table.total_value_usd,
        market_cap_dominance=table.market_cap_dominance,
        companies=Table(TreasuryRow, table.companies, matters=lambda row: row.total_holdings),
        fetched_at=table.fetched_at,
    )
    return Answer(data, meta_of(core, found), found.until)


@endpoint(
    "/onchain/valuation",
    title="Bitcoin on-chain valuation",
    ttl=3600,
    example={},
    keeps="everything",
    budget="",
    detail=False,
)
async def get_valuation(core: Core, query: ValuationQuery) -> Answer[ValuationAnswer]:  # noqa: ARG001
    """Bitcoin on-chain valuation: MVRV-Z, NUPL, Puell, Reserve Risk, realised cap.

    For flows use get_etf_flows. Daily. nupl: fraction of market cap in profit; mvrvZScore is no
    MVRV; realizedCap in USD.
    """
    found = await ask_venues(core, OnchainValuation, None, None, default=("bitcoin-data",))
    row: Valuation = found.rows[0]
    _note_stale(found)
    if _is_old(core, row):
        _note(found, "bitcoin-data", "stale", f"stale: figures are of {row.as_of_date}")
    implied = _implied_price(row)
    _check(found, row, implied)
    meta = meta_of(core, found)
    meta["source"] = f"{_prefix(core)}bitcoin-data.com"
    data = ValuationAnswer(
        asset=row.asset,
        mvrv_z_score=row.mvrv_z_score,
        nupl=row.nupl,
        puell_multiple=row.puell_multiple,
        reserve_risk=row.reserve_risk,
        realized_cap=row.realized_cap,
        as_of_date=row.as_of_date,
        fetched_at=row.fetched_at,
        as_of_by_metric=_camel_keys(row.as_of_by_metric),
        mvrv=None if row.nupl is None else mvrv_of(row.nupl),
        implied_price=implied,
        spot=row.spot,
    )
    return Answer(data, meta, found.until)


def _camel_keys(by_metric: dict[str, str] | None) -> dict[str, str] | None:
    return by_metric and {camel(name): day for name, day in by_metric.items()}


def _is_old(core: Core, row: Valuation) -> bool:
    if row.as_of_date is None:
        return True
    day = datetime.fromisoformat(row.as_of_date).replace(tzinfo=UTC)
    return core.moment(row.fetched_at) - day.timestamp() * 1000 > _OLDEST_FIGURE_MS


def _of_one_day(row: Valuation, *names: str) -> bool:
    days = row.as_of_by_metric or {}
    return None not in (found := {days.get(name) for name in names}) and len(found) == 1


def _implied_price(row: Valuation) -> float | None:
    """USD per coin that the figures imply; None where they are of different days or missing."""
    if row.nupl is None or row.realized_cap is None:
        return None
    if not _of_one_day(row, "nupl", "realized_cap"):
        return None
    day = date.fromisoformat((row.as_of_by_metric or {})["nupl"])
    return price_of(row.nupl, row.realized_cap, supply_on(day))


def _check(found: Gathered, row: Valuation, implied: float | None) -> None:
    """METHODS 15: numbers of the source that contradict each other, or the price, are told."""
    if implied is not None and row.spot is not None:
        off = percent_off(implied, row.spot)
        if abs(off) > MAX_OFF:
            said = f"doubtful: nupl and realizedCap imply a price {off:+.1f} % off the spot"
            _note(found, "bitcoin-data", "error", said)
    if row.nupl is not None and row.mvrv_z_score is not None:
        same = _of_one_day(row, "nupl", "mvrv_z_score")
        if same and not signs_agree(row.mvrv_z_score, row.nupl):
            said = "doubtful: mvrvZScore and nupl differ in sign"
            _note(found, "bitcoin-data", "error", said)


def _note_stale(found: Gathered) -> None:
    """CONTRACT 10: an older copy of a source that stands alone is a partial answer."""
    if any(note["status"] == "stale" for note in found.notes):
        found.partial = True


def _note(found: Gathered, source: str, status: str, reason: str) -> None:
    found.notes.append({"source": source, "status": status, "reason": reason})
    found.partial = True


def _prefix(core: Core) -> str:
    """`sim:` or `replay:` before a source that is named in the specification's own words."""
    return "" if core.upstream.kind == "live" else f"{core.upstream.kind}:"
