"""Who holds perpetuals: shares of longs by venue, and positions that were closed by force."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mmflow_mcp.analytics.liquidations import Span, covered, total
from mmflow_mcp.analytics.positioning import Old, judge, with_divergence
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.core.liquidations import SOURCES, gather_liquidations
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import ask_venues, choose_venues, meta_of
from mmflow_mcp.endpoints.asking import judge as judge_coins
from mmflow_mcp.endpoints.composed import fleet_note
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import FEW_COINS, FewCoins, Query, Venues
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.rows.positions import PERIOD_MS, LiquidationRow, PositioningRow
from mmflow_mcp.venues.capabilities import Positioning

DEFAULT_COINS = ("BTC", "ETH", "SOL")
# So many gaps of a venue are told one by one.
GAPS_TOLD = 5


def _period(value: Any) -> str:
    text = str(value).strip().lower()
    if text not in PERIOD_MS:
        raise BadQuestion("period", f"{text[:40]!r} is no period here.", fits=", ".join(PERIOD_MS))
    return text


class PositionsQuery(Query):
    """Which coins, on which venues."""

    coins: FewCoins = Field(default=None, description=FEW_COINS)
    venues: Venues = Field(default=None, description="Default: all")


class PositioningQuery(PositionsQuery):
    """Which coins, on which venues, sampled how often."""

    period: Annotated[Literal["15m", "1h", "4h"], BeforeValidator(_period)] = Field(
        default="1h", description="Sampling period"
    )


class LiquidationsQuery(PositionsQuery):
    """Which coins, on which venues."""


@endpoint(
    "/perps/positioning",
    title="Long and short shares across venues",
    ttl=60,
    example={"coins": ["BTC", "ETH"], "period": "1h"},
    keeps="the most one-sided",
    detail=False,
)
async def get_positioning(core: Core, query: PositioningQuery) -> Answer[Table[PositioningRow]]:
    """Long/short positioning of perpetuals by coin, venue and view.

    Which side the crowd is on; for size use get_oi. global: share of accounts, top:
    position-weighted share of the largest; compare changes, not levels. divergence: top - global.
    """
    coins = query.coins or DEFAULT_COINS
    options = {"period": query.period}
    venues = query.venues or ("all",)
    found = await ask_venues(core, Positioning, venues, coins, default=(), options=options)
    kept, old = judge(found.rows, core.moment)
    _note_old(found, old)
    rank = {coin: i for i, coin in enumerate(coins)}
    rows = sorted(with_divergence(kept), key=lambda row: (rank[row.coin], row.venue, row.view))
    oldest = min((row.sampled_at for row in rows), default=None)
    return Answer(
        Table(PositioningRow, rows, matters=lambda row: abs(row.long_fraction - 0.5)),
        meta_of(core, found, period=query.period, sampledAt=oldest),
        found.until,
    )


def _note_old(found: Gathered, old: list[Old]) -> None:
    """One note for what is stale of a venue and one for what was left out, with the oldest age."""
    for gone in (False, True):
        for venue in sorted({one.row.venue for one in old if one.gone == gone}):
            same = [one for one in old if one.row.venue == venue and one.gone == gone]
            named = ", ".join(f"{one.row.coin} {one.row.view}" for one in same[:6])
            named += f" and {len(same) - 6} more" if len(same) > 6 else ""
            reason = (
                f"missing: the newest sample is older than 4 periods ({named})"
                if gone
                else f"stale: the newest sample is older than 2 periods ({named})"
            )
            status = "missing" if gone else "stale"
            age = max(one.age_ms for one in same)
            found.notes.append({"source": venue, "status": status, "reason": reason, "ageMs": age})
    found.partial = found.partial or any(one.gone for one in old)


@endpoint(
    "/perps/liquidations",
    title="Liquidations of the last 24 hours",
    ttl=30,
    example={"coins": ["BTC", "ETH"], "venues": ["okx"]},
    keeps="the largest by USD",
    detail=False,
)
async def get_liquidations(core: Core, query: LiquidationsQuery) -> Answer[Table[LiquidationRow]]:
    """Liquidations of the last 24 hours by coin: longs, shorts and the largest, USD.

    For what is still open use get_oi. A lower bound: venues publish part of it; meta.covered tells
    since when. long24hUsd: longs closed.
    """
    coins = query.coins or DEFAULT_COINS
    chosen = choose_venues(core, _sources(core), query.venues or ("all",))
    heard = await gather_liquidations(core, chosen.venues, coins, chosen.notes)
    found = heard.found
    judge_coins(core, found, chosen, coins)
    spans = covered(found.rows, core.moment)
    for venue, span in spans.items():
        if not span.whole:
            part = f"{span.hours:.1f} h of 24 h"
            reason = f"missing: covers {'' if span.gaps else 'the last '}{part}"
            found.notes.append({"source": venue, "status": "missing", "reason": reason})
            found.partial = True
    tapes = {coin: [tape for tape in found.rows if tape.coin == coin] for coin in coins}
    rows = [total(coin, same, core.moment) for coin, same in tapes.items() if same]
    bounds = {venue: said for venue, said in heard.bounds.items() if venue in spans}
    return Answer(
        Table(LiquidationRow, rows, matters=lambda row: row.long24h_usd + row.short24h_usd),
        meta_of(core, found, covered=_told(spans), lowerBound=bounds, **fleet_note(core)),
        found.until,
    )


def _sources(core: Core) -> tuple[type, ...]:
    """What tells liquidations: recordings hold no feeds."""
    return SOURCES if core.upstream.kind != "replay" else SOURCES[:1]


def _told(spans: dict[str, Span]) -> dict[str, dict[str, Any]]:
    """The covered span of each venue, with the last of its gaps."""
    told: dict[str, dict[str, Any]] = {}
    for venue, span in spans.items():
        told[venue] = {"sinceMs": span.since_ms, "hours": round(span.hours, 2)}
        if span.gaps:
            told[venue]["gaps"] = [list(gap) for gap in span.gaps[-GAPS_TOLD:]]
    return told
