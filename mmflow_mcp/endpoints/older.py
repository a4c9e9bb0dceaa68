"""An older path of the same API, outside `/api/v1`, which its client libraries still ask.

It is no tool of its own: the same question is `get_candles`. Its answer has no envelope.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from mmflow_mcp.core.core import Core
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.candles import CandlesQuery, get_candles, hours_of
from mmflow_mcp.endpoints.declare import Endpoint
from mmflow_mcp.endpoints.params import Interval, Query, coin_of
from mmflow_mcp.rows import told
from mmflow_mcp.rows.candles import Candle


class HlCandlesQuery(Query):
    """Which coin of Hyperliquid; the defaults are those of the client libraries."""

    coin: Annotated[str, BeforeValidator(coin_of)] = Field(description="Ticker")
    interval: Interval = Field(default="1m", description="Length of a candle")
    hours: Annotated[float, BeforeValidator(hours_of)] = Field(
        default=72.0, description="How far back from now, in hours; up to 5,000 candles"
    )


@dataclass(frozen=True, slots=True)
class HlCandles:
    """The candles of one coin on Hyperliquid."""

    candles: Table[Candle] = told("oldest first; an interval without trades is absent")


async def hl_candles(core: Core, query: HlCandlesQuery) -> Answer[HlCandles]:
    """Candles of a perpetual on Hyperliquid, without envelope.

    Prices in USD, volume in coins; the last candle may still be running.
    """
    asked = CandlesQuery(
        coin=query.coin, venue="hyperliquid", interval=query.interval, hours=query.hours
    )
    found = await get_candles(core, asked)
    return Answer(HlCandles(found.data.candles), found.meta, found.until)


HL_CANDLES = Endpoint(
    name="hl_candles",
    path="/hl/candles",
    family="hl",
    title="Candles of Hyperliquid",
    description=" ".join((hl_candles.__doc__ or "").split()),
    query=HlCandlesQuery,
    answer=Answer[HlCandles],
    handler=hl_candles,
    ttl=10,
    example={"coin": "BTC", "interval": "1h", "hours": 24},
    keeps="all",
    limit=0,
    budget="",
    detail=False,
    condense=None,
)
