"""Funding regime: which funding and open interest are unusual against their own week."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from pydantic import Field

from mmflow_mcp.analytics.regime import (
    DIVERGENT,
    Standing,
    change_pct,
    momentum_of,
    regime_of,
    standing_of,
)
from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.core.archive import FUNDING, OI
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.core.history import Line, lines_of, rate_8h
from mmflow_mcp.core.parts import merged
from mmflow_mcp.core.readings import FLOW_COINS
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.composed import refuse_failed
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import FEW_COINS, FewCoins, Query, Venues
from mmflow_mcp.endpoints.spans import asked_venues, history_meta
from mmflow_mcp.rows import maybe, told
from mmflow_mcp.venues.base import Venue

WEEK_MS = 7 * DAY_MS
MOMENTUM_MS = 6 * HOUR_MS
DEFAULT_VENUES = ("hyperliquid", "binance", "bybit", "okx")


class RegimeQuery(Query):
    """Which coins, on which venues."""

    coins: FewCoins = Field(default=None, description=FEW_COINS)
    venues: Venues = Field(default=None, description="Venue ids, or all. Default hl + 3")


@dataclass(frozen=True, slots=True)
class RegimeRow:
    """One coin's funding on one venue against its own last week."""

    coin: str = told("canonical ticker")
    venue: str = told("venue id")
    rate8h: float = told("newest rate as a fraction per 8 h, + = longs pay")
    z: float = told("its z-score in the week", digits="percent")
    robust_z: float | None = told("by median and MAD; null where MAD is 0", digits="percent")
    regime: str = told("longs_crowded, shorts_crowded or normal")
    momentum6h: float | None = told("z now - z 6 h ago", digits="percent")
    oi_z: float | None = told("z-score of open interest in coins", digits="percent")
    oi_change24h_pct: float | None = told("open interest over 24 h, percent", digits="percent")
    oi_change1h_pct: float | None = told("over 1 h", brief=False, digits="percent")
    oi_change4h_pct: float | None = told("over 4 h", brief=False, digits="percent")
    n: int = told("funding values in the window")
    span_ms: int = told("first to last of them, ms", brief=False)
    kind: str = told("predicted (sampled here) or settled (paid)", brief=False)
    at_ms: int = told("time of the newest value, epoch ms", brief=False)


@dataclass(frozen=True, slots=True)
class DivergenceRow:
    """How far venues stand apart on one coin."""

    coin: str = told("canonical ticker")
    divergence_z: float = told("largest z of a venue less the smallest", digits="percent")
    spread8h_bps: float = told("largest less smallest rate, bps per 8 h", digits="percent")
    high_venue: str = told("where longs pay most")
    low_venue: str = told("where longs pay least")
    basis_trade: bool = told("divergenceZ above 3: a candidate, not advice")


@dataclass(frozen=True, slots=True)
class RegimeAnswer:
    """What is unusual, and where venues disagree."""

    rows: Table[RegimeRow] = told("by coin and venue, with ten values or more")
    divergences: Table[DivergenceRow] = told("by coin, with two venues or more", budgeted=False)
    fetched_at: int = told("when this was read, epoch ms", brief=False)
    too_short: dict[str, list[str]] | None = maybe(
        "coin -> venues with fewer than ten values in the week", brief=True
    )


@endpoint(
    "/perps/funding/regime",
    title="Funding regime",
    ttl=60,
    example={"coins": ["BTC"], "venues": ["hl", "bybit"]},
    keeps="the largest absolute z",
    limit=30,
    detail=False,
)
async def get_funding_regime(core: Core, query: RegimeQuery) -> Answer[RegimeAnswer]:
    """Whether funding and open interest are unusual against their own last week.

    Crowded sides, momentum, diverging venues; for the rates use get_funding. |z| >= 2 is extreme,
    n values behind it.
    """
    coins = query.coins or FLOW_COINS
    venues = asked_venues(core, FUNDING, query.venues or DEFAULT_VENUES)
    now = core.pinned_now or core.clock.now_ms()
    found: dict[str, tuple[list[RegimeRow], list[str]]] = {}
    sides: list[Gathered] = []

    async def one(coin: str) -> None:
        rows, short, side = await _coin(core, coin, venues, now)
        found[coin] = rows, short
        sides.append(side)

    async with anyio.create_task_group() as tasks:
        for coin in coins:
            tasks.start_soon(one, coin)
    rows = [row for coin in coins for row in found[coin][0]]
    whole = merged(*sides)
    whole.not_listed = {c: v for c, v in whole.not_listed.items() if len(v) == len(venues)}
    data = RegimeAnswer(
        rows=Table(RegimeRow, rows, matters=lambda row: abs(row.z)),
        divergences=Table(
            DivergenceRow,
            [d for coin in coins if (d := _divergence(coin, found[coin][0]))],
            matters=lambda row: row.divergence_z,
        ),
        fetched_at=core.clock.now_ms(),
        too_short={coin: found[coin][1] for coin in coins if found[coin][1]} or None,
    )
    meta = history_meta(core, whole, core.clock.now_ms(), "regime")
    if not rows and not data.too_short:
        refuse_failed(venues, whole, meta)
    return Answer(data, meta)


async def _coin(
    core: Core, coin: str, venues: Sequence[Venue], now: int
) -> tuple[list[RegimeRow], list[str], Gathered]:
    span = (now - WEEK_MS, now)
    names = tuple(venue.id for venue in venues)
    asked = {FUNDING: venues, OI: asked_venues(core, OI, names, strict=False)}
    found: dict[str, tuple[list[Line], Gathered]] = {}

    async def read(metric: str) -> None:
        found[metric] = await lines_of(core, metric, coin, asked[metric], span)

    async with anyio.create_task_group() as tasks:
        for metric in asked:
            tasks.start_soon(read, metric)
    (lines, side), (held, other) = found[FUNDING], found[OI]
    _forgive(other, held)
    side = merged(side, other)
    interest = {line.venue: line for line in held}
    rows, short = [], []
    for line in lines:
        rates = [(p.t, rate) for p in line.points if (rate := rate_8h(p)) is not None]
        standing = standing_of(rates)
        if standing is None:
            short.append(line.venue)
        else:
            rows.append(_row(coin, line, rates, standing, interest.get(line.venue)))
    return rows, short, side


def _forgive(side: Gathered, held: Sequence[Line]) -> None:
    """Open interest that reaches back less than a week still has a standing: only none is less."""
    known = {line.venue for line in held}
    side.not_listed = {}
    side.notes = [note for note in side.notes if note["source"] not in known]
    side.partial = bool(side.notes)


def _row(
    coin: str,
    line: Line,
    rates: list[tuple[int, float]],
    standing: Standing,
    interest: Line | None,
) -> RegimeRow:
    held = [(p.t, p.v) for p in interest.points if p.v is not None] if interest else []
    of_held = standing_of(held)
    cadence = interest.cadence_ms if interest else HOUR_MS
    spacing = _spacing(line)
    return RegimeRow(
        coin=coin,
        venue=line.venue,
        rate8h=standing.value,
        z=standing.z,
        robust_z=standing.robust_z,
        regime=regime_of(standing),
        momentum6h=momentum_of(standing, rates, MOMENTUM_MS, spacing),
        oi_z=of_held.z if of_held else None,
        oi_change24h_pct=change_pct(held, DAY_MS, cadence),
        oi_change1h_pct=change_pct(held, HOUR_MS, cadence),
        oi_change4h_pct=change_pct(held, 4 * HOUR_MS, cadence),
        n=standing.n,
        span_ms=standing.span_ms,
        kind=line.kind,
        at_ms=rates[-1][0],
    )


def _spacing(line: Line) -> int:
    """Between two values: a period for what was paid, the cadence for samples."""
    hours = (line.points[-1].extra or {}).get("periodHours")
    return round(hours * HOUR_MS) if line.kind == "settled" and hours else line.cadence_ms


def _divergence(coin: str, rows: Sequence[RegimeRow]) -> DivergenceRow | None:
    if len(rows) < 2:
        return None
    high = max(rows, key=lambda row: row.rate8h)
    low = min(rows, key=lambda row: row.rate8h)
    apart = max(row.z for row in rows) - min(row.z for row in rows)
    return DivergenceRow(
        coin=coin,
        divergence_z=apart,
        spread8h_bps=(high.rate8h - low.rate8h) * 1e4,
        high_venue=high.venue,
        low_venue=low.venue,
        basis_trade=apart > DIVERGENT,
    )
