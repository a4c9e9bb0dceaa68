"""Open interest and funding of perpetuals, every ten minutes."""

from mmflow_mcp.core.archive import FUNDING, OI, SAMPLED
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import gather
from mmflow_mcp.errors import AllVenuesFailed
from mmflow_mcp.metrics.declare import FULL, LIGHT, Sample, sampling
from mmflow_mcp.series.store import SeriesKey
from mmflow_mcp.venues import having
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import Funding, OpenInterest

TEN_MINUTES_MS = 600_000
# These tell open interest one symbol a request: too dear for the light level.
SYMBOL_BY_SYMBOL = frozenset({"aster", "binance"})


def _venues(core: Core, capability: type, *, but: frozenset[str] = frozenset()) -> list[Venue]:
    return [
        venue
        for venue in having(capability)
        if venue.status == "live" and venue.id not in core.venues_off and venue.id not in but
    ]


@sampling(
    metrics={"oi": "coins, one-sided, all perpetuals of a coin on a venue"},
    every_ms=TEN_MINUTES_MS,
    level=LIGHT,
    uri="mmflow://history/oi/{coin}",
)
async def open_interest(core: Core, level: str) -> list[Sample]:
    """The whole universe of bulk venues; at the full level the 20 largest coins of the others."""
    but = frozenset() if level == FULL else SYMBOL_BY_SYMBOL
    try:
        found = await gather(core, OpenInterest, _venues(core, OpenInterest, but=but), None)
    except AllVenuesFailed:
        return []
    return [
        Sample(SeriesKey(OI, row.venue, row.coin, SAMPLED[OI]), row.oi_coins)
        for row in found.rows
        # A sum without all its contracts is another quantity.
        if not row.not_counted
    ]


@sampling(
    metrics={"funding": "fraction per period, predicted; the period stands with each point"},
    every_ms=TEN_MINUTES_MS,
    level=LIGHT,
    uri="mmflow://history/funding/{coin}",
)
async def funding(core: Core, level: str) -> list[Sample]:  # noqa: ARG001 - every venue is bulk
    """The main perpetual of every coin on every venue."""
    try:
        found = await gather(core, Funding, _venues(core, Funding), None)
    except AllVenuesFailed:
        return []
    return [
        Sample(
            SeriesKey(FUNDING, row.venue, row.coin, SAMPLED[FUNDING]),
            row.rate,
            {"periodHours": row.period_hours},
        )
        for row in found.rows
    ]
