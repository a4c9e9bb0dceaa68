"""Flows: what venues and countries pay for a coin against the rest of the world."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mmflow_mcp.analytics.kimchi import Kimchi, kimchi_of
from mmflow_mcp.analytics.spreads import Spread, SpreadRow, in_dollars, mid, spread_of
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.core.parts import merged, note, parts
from mmflow_mcp.core.pulse import note_stale
from mmflow_mcp.core.readings import (
    FLOW_COINS,
    USDT_VENUE,
    reference_spot,
    reference_venues,
    usdt_in_dollars,
    won_per_dollar,
    won_spot,
)
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import refuse_unknown
from mmflow_mcp.endpoints.composed import composed_meta, refuse_nothing
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import FEW_COINS, FewCoins, Query, coin_of
from mmflow_mcp.endpoints.spot import quotes_of
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.rows import maybe, told
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.venues import by_name, fold, roll


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _venue_id(value: Any) -> Any:
    """The id of a venue by any of its names; what is none stays as it is."""
    known = by_name().get(fold(value)) if isinstance(value, str) else None
    return value if known is None else known.id


class SpreadsQuery(Query):
    """Which coins, and in which dollars."""

    coins: FewCoins = Field(default=None, description=FEW_COINS)
    quote: Annotated[Literal["usd"] | None, BeforeValidator(_lower)] = Field(
        default=None, description="usd: convert USDT. Left out: as quoted"
    )


class KimchiQuery(Query):
    """Which coin, on which Korean venue."""

    coin: Annotated[str, BeforeValidator(coin_of)] = Field(default="BTC", description="Ticker")
    venue: Annotated[Literal["upbit", "bithumb"], BeforeValidator(_venue_id)] = Field(
        default="upbit", description="Korean venue"
    )


@dataclass(frozen=True, slots=True)
class CoinSpread:
    """Who pays more and who less for one coin."""

    coin: str = told("canonical ticker")
    global_median_usd: float | None = told("median of the fresh venues; null with fewer than two")
    rows: Table[SpreadRow] = told("by venue")
    strongest_premium_venue: str | None = told("largest basis above 0")
    strongest_discount_venue: str | None = told("smallest basis below 0")
    dispersion_bps: float | None = told("largest basis - smallest", digits="percent")
    fetched_at: int = told("when the oldest price used was read, epoch ms", brief=False)
    outliers: tuple[str, ...] | None = maybe(
        "venues beyond 200 bps and 5 MAD; not in dispersion and strongest", brief=True
    )


@endpoint(
    "/flows/venue-spreads",
    title="Venue price pressure",
    ttl=15,
    example={"coins": ["BTC", "ETH"]},
    keeps="the widest basis",
    detail=False,
)
async def get_venue_spreads(core: Core, query: SpreadsQuery) -> Answer[list[CoinSpread]]:
    """Which venue pays more or less for a coin than the median of five majors.

    For plain prices use get_spot, for Korea get_kimchi. basisBps: + = above. USDT counts as USD
    unless quote=usd.
    """
    coins = query.coins or FLOW_COINS
    readings = [reference_spot(core, coins)]
    if query.quote:
        readings.append(usdt_in_dollars(core))
    found = await parts(*readings)
    asked = [venue.id for venue in reference_venues(core)]
    refuse_nothing(core, "venue-spreads", asked, found[0])
    if query.coins:
        refuse_unknown(found[0], coins, reference_venues(core))
    rows: list[SpotRow] = list(found[0].rows)
    whole = merged(*found)
    whole.not_listed = found[0].not_listed
    if query.quote:
        rows = _converted(rows, found[1], whole)
    spreads = [spread_of(coin, rows, core.pinned_now) for coin in coins]
    note_stale(spreads, whole)
    meta = composed_meta(core, "venue-spreads", found[0].answered, whole)
    if not query.quote:
        meta["quotes"] = quotes_of(rows)
    data = [_written(spread, meta["fetchedAt"]) for spread in spreads]
    return Answer(data, meta, whole.until)


def _converted(rows: Sequence[SpotRow], usdt: Gathered, whole: Gathered) -> list[SpotRow]:
    """Prices in dollars; those in USDT are left out while nobody tells what a USDT is worth."""
    market: SpotRow | None = next((row for row in usdt.rows if not row.stale), None)
    if market is None:
        note(whole, USDT_VENUE, "missing", "missing: no price of USDT; prices in it are left out")
        return in_dollars(rows, None)
    return in_dollars(rows, mid(market))


def _written(spread: Spread, fetched_at: int) -> CoinSpread:
    return CoinSpread(
        coin=spread.coin,
        global_median_usd=spread.median,
        rows=Table(SpreadRow, spread.rows, matters=lambda row: abs(row.basis_bps or 0.0)),
        strongest_premium_venue=spread.strongest_premium,
        strongest_discount_venue=spread.strongest_discount,
        dispersion_bps=spread.dispersion_bps,
        fetched_at=spread.fetched_at or fetched_at,
        outliers=spread.outliers or None,
    )


@endpoint(
    "/flows/kimchi",
    title="Kimchi premium",
    ttl=15,
    example={"coin": "BTC"},
    keeps="",
    budget="",
    detail=False,
)
async def get_kimchi(core: Core, query: KimchiQuery) -> Answer[Kimchi]:
    """The Korean premium: what a coin costs in won against the world's median in USD.

    For dollar venues use get_venue_spreads. premiumPct: + = dearer in Korea; parts: usdtPremiumPct,
    premiumOverUsdtPct. The won's rate is daily (fxDate).
    """
    venue = roll()[query.venue]
    if venue.id in core.venues_off:
        raise BadQuestion("venue", f"{venue.id} is switched off here.", fits="the other one")
    local, world, fx = await parts(
        won_spot(core, venue, tuple(dict.fromkeys((query.coin, "USDT")))),
        reference_spot(core, (query.coin,)),
        won_per_dollar(core),
    )
    local.not_listed = {c: v for c, v in local.not_listed.items() if c == query.coin}
    # The rate is reference data: its date tells its age.
    fx.fetched_at = None
    whole, prices = merged(local, world, fx), merged(local, world)
    refuse_nothing(core, "kimchi", [venue.id], prices)
    refuse_unknown(prices, (query.coin,), [venue, *reference_venues(core)], "coin")
    spread = spread_of(query.coin, world.rows, core.pinned_now)
    note_stale([spread], whole)
    rate = fx.rows[0] if fx.rows else None
    data, said = kimchi_of(query.coin, venue.id, local.rows, rate, spread, core.pinned_now)
    for one in said:
        note(whole, *one)
    who = [*local.answered, *([data.fx_source.partition(":")[0]] if data.fx_source else [])]
    meta = composed_meta(core, "kimchi", who, whole)
    if not data.fetched_at:
        data = replace(data, fetched_at=meta["fetchedAt"])
    return Answer(data, meta, whole.until)
