"""Spot: tickers across venues."""

from typing import Any

from pydantic import Field

from mmflow_mcp.core.core import Core
from mmflow_mcp.core.readings import REFERENCE_SET
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import ask_venues, meta_of
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import FEW_COINS, FewCoins, Query, Venues
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.venues.capabilities import Spot

DEFAULT_COINS = ("BTC", "ETH", "SOL")
# Won in a dollar, near enough to rank rows by.
_WON = 1_400.0


class SpotQuery(Query):
    """Which coins, on which venues."""

    coins: FewCoins = Field(default=None, description=FEW_COINS)
    venues: Venues = Field(default=None, description="Venue ids, or all. Default 5")


@endpoint(
    "/markets/spot",
    title="Spot prices across venues",
    ttl=30,
    example={"coins": ["BTC", "ETH"]},
    keeps="the largest 24 h turnover",
)
async def get_spot(core: Core, query: SpotQuery) -> Answer[Table[SpotRow]]:
    """Spot price, bid, ask and 24 h volume of coins by venue.

    For premiums between venues use get_venue_spreads. Prices in the quote currency (meta.quotes:
    USD is not USDT), volume24h in coins, change24hPct in percent.
    """
    coins = query.coins or DEFAULT_COINS
    found = await ask_venues(
        core,
        Spot,
        query.venues,
        coins,
        default=REFERENCE_SET,
        strict=query.coins is not None,
    )
    rank = {coin: i for i, coin in enumerate(coins)}
    rows = sorted(found.rows, key=lambda row: (rank[row.coin], row.venue))
    return Answer(
        Table(SpotRow, rows, matters=turnover),
        meta_of(core, found, quotes=quotes_of(rows)),
        found.until,
    )


def turnover(row: SpotRow) -> float:
    """What was traded in 24 h, roughly in dollars: the rank for a row budget."""
    return row.price * (row.volume24h or 0.0) / (_WON if row.quote == "KRW" else 1.0)


def quotes_of(rows: list[SpotRow]) -> dict[str, Any]:
    """The quote currency by venue; by market where a venue quotes coins in several."""
    quotes: dict[str, set[str]] = {}
    for row in rows:
        quotes.setdefault(row.venue, set()).add(row.quote)
    told: dict[str, Any] = {}
    for row in rows:
        if len(quotes[row.venue]) == 1:
            told[row.venue] = row.quote
        else:
            told.setdefault(row.venue, {})[row.coin] = row.quote
    return told
