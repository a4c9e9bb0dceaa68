"""Flow Pulse: the Coinbase proxy of ETF demand, the summary of all flows, and their signals."""

from dataclasses import dataclass

from pydantic import Field

from mmflow_mcp.analytics import coinbase
from mmflow_mcp.analytics.coinbase import premium_bps, volume_share
from mmflow_mcp.analytics.pressure import COINBASE, ETF, HL, KIMCHI, headline_of
from mmflow_mcp.analytics.signals import Signal, ranked
from mmflow_mcp.analytics.spreads import Spread, spread_of
from mmflow_mcp.analytics.states import STALE
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.core.parts import merged, note, parts
from mmflow_mcp.core.pulse import (
    ETF_ASSETS,
    CoinPulse,
    Pulse,
    etf_state,
    flow_pulse,
    note_stale,
)
from mmflow_mcp.core.readings import (
    FLOW_COINS,
    coinbase_delta,
    etf_table,
    reference_spot,
    reference_venues,
)
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import refuse_unknown
from mmflow_mcp.endpoints.composed import composed_meta, refuse_nothing
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.onchain import AssetQuery
from mmflow_mcp.endpoints.params import FEW_COINS, FewCoins, Query
from mmflow_mcp.rows import maybe, told
from mmflow_mcp.rows.onchain import EtfTable
from mmflow_mcp.venues.us_sessions import is_recent, is_regular_hours

COINS = {asset: coin for coin, asset in ETF_ASSETS.items()}
_RANK = {"hot": 2.0, "watch": 1.0, "info": 0.0}


class EtfProxyQuery(AssetQuery):
    """Whose funds."""


class PulseQuery(Query):
    """Which coins."""

    coins: FewCoins = Field(default=None, description=FEW_COINS)


class SignalsQuery(PulseQuery):
    """Which coins."""


@dataclass(frozen=True, slots=True)
class DailyFlow:
    """The newest complete session of all funds."""

    latest_total_usdm: float | None = told("newest complete session, US$ millions", digits="usd")
    cumulative_usdm: float | None = told("all sessions, US$ millions", digits="usd")
    latest_date_ms: int | None = told("00:00 UTC of that session, epoch ms")
    source: str = told("who was asked")


@dataclass(frozen=True, slots=True)
class CoinbaseProxy:
    """What US spot buyers pay and do on Coinbase now."""

    coinbase_premium_bps: float | None = told(
        "Coinbase / median of the other venues - 1, bps; + = US demand", digits="percent"
    )
    coinbase_volume_share: float | None = told(
        "share of the five venues' 24 h notional, 0..1", digits="ratio"
    )
    coinbase_tape_delta_usd5m: float | None = told(
        "taker buys - sells of the last 300 s, USD; null where the tape is short", digits="usd"
    )
    coinbase_net_trade_usd5m: float | None = told(
        "the same, under its second name", brief=False, digits="usd"
    )
    confidence: str = told("high, medium or low")
    label: str = told("what it is not")
    reference: str = told("what the premium is against")


@dataclass(frozen=True, slots=True)
class EtfProxyAnswer:
    """Yesterday's funds beside today's Coinbase."""

    asset: str = told("as asked")
    daily: DailyFlow | None = told("null while the tables cannot be had")
    coinbase_proxy: CoinbaseProxy = told("the live read")
    fetched_at: int = told("when the oldest price used was read, epoch ms", brief=False)


@dataclass(frozen=True, slots=True)
class PulseRow:
    """The flows of one coin."""

    coin: str = told("canonical ticker")
    coverage: dict[str, str] = told("how good each part is: full/live, partial/stale, none")
    flow_pressure_score: int | None = told("-100 selling .. +100 buying; null: nothing known")
    headline: str = told("the parts and what they add up to")
    coinbase_premium_bps: float | None = maybe("against the other venues", digits="percent")
    kimchi_premium_pct: float | None = maybe("won against the world's median", digits="percent")
    etf_latest_total_usdm: float | None = maybe("newest session, US$ millions", digits="usd")
    hl_micro_net_usd5m: float | None = maybe(
        "taker buys - sells on Hyperliquid in 300 s, USD", digits="usd"
    )
    venue_spread_dispersion_bps: float | None = maybe("venues apart, bps", digits="percent")


@dataclass(frozen=True, slots=True)
class SummaryAnswer:
    """The flows of several coins at a glance."""

    coins: tuple[str, ...] = told("as asked", brief=False)
    rows: Table[PulseRow] = told("by coin", budgeted=False)
    signals: Table[Signal] = told("what stands out, strongest first")
    fetched_at: int = told("when the oldest price used was read, epoch ms", brief=False)


@endpoint(
    "/flows/etf",
    title="ETF flow and Coinbase proxy",
    ttl=15,
    example={"asset": "bitcoin"},
    keeps="",
    budget="",
    detail=False,
)
async def get_etf_proxy(core: Core, query: EtfProxyQuery) -> Answer[EtfProxyAnswer]:
    """US spot demand now, read off Coinbase, beside the last session's ETF total.

    For single funds use get_etf_flows. A proxy, not attribution. coinbasePremiumBps,
    coinbaseTapeDeltaUsd5m (USD): + = US buying; daily: US$ millions.
    """
    coin = COINS[query.asset]
    deltas: list[float | None] = []

    async def delta_of() -> Gathered:
        value, side = await coinbase_delta(core, coin)
        deltas.append(value)
        return side

    world, tape, funds = await parts(
        reference_spot(core, (coin,), change=False), delta_of(), etf_table(core, query.asset)
    )
    # The table carries its own date.
    funds.fetched_at = None
    whole = merged(world, tape, funds)
    refuse_nothing(core, "etf-proxy", ["farside", "coinbase"], whole)
    spread = spread_of(coin, world.rows, core.pinned_now)
    note_stale([spread], whole)
    table: EtfTable | None = next(iter(funds.rows), None)
    at = core.moment(max((row.fetched_at for row in world.rows), default=core.clock.now_ms()))
    if table is not None and etf_state(table, at) == STALE:
        note(whole, "farside", "stale", "stale: the newest session is not in the table")
    who = [table.source.partition(":")[0]] if table else []
    meta = composed_meta(core, "etf-proxy", [*who, "coinbase"], whole)
    data = EtfProxyAnswer(
        asset=query.asset,
        daily=_daily(table),
        coinbase_proxy=_proxy(spread, deltas[0], table, at),
        fetched_at=meta["fetchedAt"],
    )
    return Answer(data, meta, whole.until)


def _daily(table: EtfTable | None) -> DailyFlow | None:
    if table is None:
        return None
    latest = table.latest
    return DailyFlow(
        latest_total_usdm=latest.total if latest else None,
        cumulative_usdm=table.cumulative_usdm,
        latest_date_ms=latest.date_ms if latest else None,
        source=table.source.partition(":")[0],
    )


def _proxy(
    spread: Spread, delta: float | None, table: EtfTable | None, at_ms: int
) -> CoinbaseProxy:
    premium = premium_bps(spread)
    latest = table.latest if table else None
    return CoinbaseProxy(
        coinbase_premium_bps=premium,
        coinbase_volume_share=volume_share(spread),
        coinbase_tape_delta_usd5m=delta,
        coinbase_net_trade_usd5m=delta,
        confidence=coinbase.confidence_of(
            premium,
            sum(venue != coinbase.VENUE for venue in spread.fresh),
            delta,
            daily_is_recent=latest is not None and is_recent(latest.date_ms, at_ms),
            us_hours=is_regular_hours(at_ms),
        ),
        label=coinbase.LABEL,
        reference=coinbase.REFERENCE,
    )


@endpoint(
    "/flows/summary",
    title="Flow Pulse",
    ttl=15,
    example={"coins": ["BTC", "ETH", "SOL"]},
    keeps="the strongest signals",
    limit=10,
)
async def get_flow_summary(core: Core, query: PulseQuery) -> Answer[SummaryAnswer]:
    """Who buys and sells a coin at a glance: Coinbase, Korea, ETFs, perps, one score.

    Call it first; for parts use get_etf_proxy, get_kimchi, get_venue_spreads, for alerts
    get_flow_signals. flowPressureScore: judgement, no forecast.
    """
    pulse = await _pulse(core, "summary", query)
    signals = ranked([s for one in pulse.coins for s in core.signals.look(one.reading, pulse.at)])
    meta = composed_meta(core, "summary", (), pulse.whole)
    data = SummaryAnswer(
        coins=tuple(one.coin for one in pulse.coins),
        rows=Table(PulseRow, [_row(one) for one in pulse.coins], matters=lambda _: 0.0),
        signals=Table(Signal, signals, matters=_strength),
        fetched_at=meta["fetchedAt"],
    )
    return Answer(data, meta, pulse.whole.until)


@endpoint(
    "/flows/signals",
    title="Flow signals",
    ttl=15,
    example={"coins": ["BTC", "ETH", "SOL"]},
    keeps="the strongest",
    limit=20,
    detail=False,
)
async def get_flow_signals(core: Core, query: SignalsQuery) -> Answer[Table[Signal]]:
    """What stands out in flows now: premiums, ETF flows, perps against spot, venues apart.

    Empty when all is calm; for levels use get_flow_summary. An id stays while its condition holds.
    """
    pulse = await _pulse(core, "signals", query)
    signals = ranked([s for one in pulse.coins for s in core.signals.look(one.reading, pulse.at)])
    meta = composed_meta(core, "signals", (), pulse.whole)
    return Answer(Table(Signal, signals, matters=_strength), meta, pulse.whole.until)


def _strength(signal: Signal) -> float:
    return _RANK[signal.severity]


async def _pulse(core: Core, name: str, query: PulseQuery) -> Pulse:
    """The readings; an error when no price is to be had or nobody lists a coin that was named."""
    pulse = await flow_pulse(core, query.coins or FLOW_COINS)
    refuse_nothing(core, name, [venue.id for venue in reference_venues(core)], pulse.prices)
    if query.coins:
        refuse_unknown(pulse.prices, query.coins, reference_venues(core))
    return pulse


def _row(one: CoinPulse) -> PulseRow:
    hl = one.inputs[HL].value
    return PulseRow(
        coin=one.coin,
        coverage=one.coverage,
        flow_pressure_score=one.score,
        headline=headline_of(one.score, one.inputs),
        coinbase_premium_bps=one.inputs[COINBASE].value,
        kimchi_premium_pct=one.inputs[KIMCHI].value,
        etf_latest_total_usdm=one.inputs[ETF].value,
        hl_micro_net_usd5m=None if hl is None else hl * 1e6,
        venue_spread_dispersion_bps=one.spread.dispersion_bps,
    )
