"""Perpetuals: open interest and funding across venues."""

from collections.abc import Callable
from typing import Any

from mmflow_mcp.core.core import Core
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import ask_venues, meta_of
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import Coins, Query, Venues, coins_field, venues_field
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.venues.capabilities import Funding, OpenInterest

_COINS = "Tickers (BTC). Left out: all"
_VENUES = "Venue ids, or all. Default hl"


class PerpsQuery(Query):
    """Which coins, on which venues."""

    coins: Coins = coins_field(_COINS)
    venues: Venues = venues_field(_VENUES)


@endpoint(
    "/perps/oi",
    title="Open interest across venues",
    ttl=30,
    example={"coins": ["BTC", "ETH"], "venues": ["all"]},
    keeps="the largest by USD",
)
async def get_oi(core: Core, query: PerpsQuery) -> Answer[Table[OpenInterestRow]]:
    """Open interest of perpetual futures by coin and venue.

    For its cost use get_funding. A row is all perpetuals of a coin on a venue, one-sided: oiUsd in
    USD, oiCoins in coins.
    """
    found = await ask_venues(
        core, OpenInterest, query.venues, query.coins, default=("hyperliquid",)
    )
    rows = sorted(found.rows, key=_order(query.coins))
    return Answer(
        Table(OpenInterestRow, rows, matters=lambda row: row.oi_usd),
        meta_of(core, found),
        found.until,
    )


@endpoint(
    "/perps/funding",
    title="Funding rates across venues",
    ttl=30,
    example={"coins": ["BTC", "ETH"], "venues": ["all"]},
    keeps="the largest by absolute apr",
)
async def get_funding(core: Core, query: PerpsQuery) -> Answer[Table[FundingRow]]:
    """Funding rates of perpetual futures by coin and venue.

    For size use get_oi. rate: fraction per periodHours, + = longs pay, predicted unless meta.kinds
    says otherwise. apr: simple percent a year; compare venues by apr, never by rate.
    """
    found = await ask_venues(core, Funding, query.venues, query.coins, default=("hyperliquid",))
    rows = sorted(found.rows, key=_order(query.coins))
    kinds = {row.venue: row.kind for row in rows if row.kind != "predicted"}
    return Answer(
        Table(FundingRow, rows, matters=lambda row: abs(row.apr)),
        meta_of(core, found, kinds=kinds),
        found.until,
    )


def _order(coins: tuple[str, ...] | None) -> Callable[[OpenInterestRow | FundingRow], Any]:
    """Coins as they were asked, else by ticker; venues by id inside a coin."""
    if coins is None:
        return lambda row: (row.coin, row.venue)
    rank = {coin: i for i, coin in enumerate(coins)}
    return lambda row: (rank[row.coin], row.venue)
