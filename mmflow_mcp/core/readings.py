"""Readings that several answers share: the same questions to the same sources, asked once.

What two readings have in common is one request, because each asks with the same calls: the
client's cache and its flights hold them together.
"""

from collections.abc import Awaitable
from typing import Any

import anyio

from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.errors import AllVenuesFailed
from mmflow_mcp.venues import having
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import FxRates, Spot

# CONTRACT section 10: median, coverage, share and score use these five, in this order.
REFERENCE_SET = ("coinbase", "binance", "bitfinex", "kraken", "gateio")
FLOW_COINS = ("BTC", "ETH", "SOL")
# Where the price of a USDT in dollars is read.
USDT_VENUE = "kraken"


def reference_venues(core: Core) -> list[Venue]:
    """The venues of the reference set that this installation asks, in the set's order."""
    able = {venue.id: venue for venue in having(Spot) if venue.id not in core.venues_off}
    return [able[name] for name in REFERENCE_SET if name in able]


async def reference_spot(core: Core, coins: tuple[str, ...]) -> Gathered:
    """Spot prices of the reference set. Raises `AllVenuesFailed`.

    A venue that is switched off here is missing from a set that is fixed, so it is told.
    """
    venues = reference_venues(core)
    asked = {venue.id for venue in venues}
    off = [_off(name) for name in REFERENCE_SET if name not in asked]
    return _short(await gather(core, Spot, venues, coins, notes=off), off)


async def won_spot(core: Core, venue: Venue, coins: tuple[str, ...]) -> Gathered:
    """Spot prices in won on one venue, without changes over 24 h. Raises `AllVenuesFailed`."""
    return await gather(core, Spot, [venue], coins, options={"change": False})


async def usdt_in_dollars(core: Core) -> Gathered:
    """The spot price of USDT in USD. Raises `AllVenuesFailed`."""
    venues = [venue for venue in reference_venues(core) if venue.id == USDT_VENUE]
    notes = [] if venues else [_off(USDT_VENUE)]
    return _short(await gather(core, Spot, venues, ("USDT",), notes=notes), notes)


async def won_per_dollar(core: Core) -> Gathered:
    """The daily rate of the won. Raises `AllVenuesFailed`."""
    sources = [venue for venue in having(FxRates) if venue.id not in core.venues_off]
    notes = [] if sources else [_off("frankfurter")]
    options = {"pair": "USDKRW"}
    return _short(await gather(core, FxRates, sources, None, notes=notes, options=options), notes)


def _short(found: Gathered, off: list[dict[str, Any]]) -> Gathered:
    """What is switched off is less than the answer is defined over."""
    found.partial = found.partial or bool(off)
    return found


def _off(source: str) -> dict[str, Any]:
    return {"source": source, "status": "missing", "reason": "off: it is not asked here"}


async def part(reading: Awaitable[Gathered]) -> Gathered:
    """A reading as one part of an answer: where every source failed it is empty and says so."""
    try:
        return await reading
    except AllVenuesFailed as error:
        return Gathered(notes=error.sources, partial=True, until=0.0)


async def parts(*readings: Awaitable[Gathered]) -> list[Gathered]:
    """Readings made at once, each as a part, in their order."""
    found = [Gathered()] * len(readings)

    async def read(i: int, reading: Awaitable[Gathered]) -> None:
        found[i] = await part(reading)

    async with anyio.create_task_group() as tasks:
        for i, reading in enumerate(readings):
            tasks.start_soon(read, i, reading)
    return found
