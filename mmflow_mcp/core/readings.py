"""Readings that several answers share: the same questions to the same sources, asked once.

What two readings have in common is one request, because each asks with the same calls: the
client's cache and its flights hold them together.
"""

from typing import Any

from mmflow_mcp.analytics.coinbase import taker_delta
from mmflow_mcp.analytics.states import LIVE
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.core.parts import part
from mmflow_mcp.tape.readings import net_taker_usd
from mmflow_mcp.venues import having
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import EtfFlows, FxRates, Spot, Trades

# CONTRACT section 10: median, coverage, share and score use these five, in this order.
REFERENCE_SET = ("coinbase", "binance", "bitfinex", "kraken", "gateio")
FLOW_COINS = ("BTC", "ETH", "SOL")
# Where the price of a USDT in dollars is read.
USDT_VENUE = "kraken"


def reference_venues(core: Core) -> list[Venue]:
    """The venues of the reference set that this installation asks, in the set's order."""
    able = {venue.id: venue for venue in having(Spot) if venue.id not in core.venues_off}
    return [able[name] for name in REFERENCE_SET if name in able]


async def reference_spot(core: Core, coins: tuple[str, ...], *, change: bool = True) -> Gathered:
    """Spot prices of the reference set. Raises `AllVenuesFailed`.

    Without `change` over 24 h the venues that need more requests for it are spared them. A venue
    that is switched off here is missing from a set that is fixed, so it is told.
    """
    venues = reference_venues(core)
    asked = {venue.id for venue in venues}
    off = [_off(name) for name in REFERENCE_SET if name not in asked]
    options = {"change": change}
    return _short(await gather(core, Spot, venues, coins, notes=off, options=options), off)


async def won_spot(core: Core, venue: Venue, coins: tuple[str, ...]) -> Gathered:
    """Spot prices in won on one venue, without changes over 24 h. Raises `AllVenuesFailed`."""
    asked = [] if venue.id in core.venues_off else [venue]
    notes = [] if asked else [_off(venue.id)]
    options = {"change": False}
    return _short(await gather(core, Spot, asked, coins, notes=notes, options=options), notes)


async def usdt_in_dollars(core: Core) -> Gathered:
    """The spot price of USDT in USD. Raises `AllVenuesFailed`."""
    venues = [venue for venue in reference_venues(core) if venue.id == USDT_VENUE]
    notes = [] if venues else [_off(USDT_VENUE)]
    return _short(await gather(core, Spot, venues, ("USDT",), notes=notes), notes)


async def etf_table(core: Core, asset: str) -> Gathered:
    """The last weeks of daily flows of an asset's US funds. Raises `AllVenuesFailed`."""
    sources = [venue for venue in having(EtfFlows) if venue.id not in core.venues_off]
    notes = [] if sources else [_off("farside")]
    options = {"asset": asset, "recent": True}
    return _short(await gather(core, EtfFlows, sources, None, notes=notes, options=options), notes)


async def coinbase_tape(core: Core, coin: str) -> Gathered:
    """Coinbase's trades of a coin in the last 300 s. Raises `AllVenuesFailed`."""
    venues = [venue for venue in reference_venues(core) if venue.id == "coinbase"]
    notes = [] if venues else [_off("coinbase")]
    return _short(await gather(core, Trades, venues, (coin,), notes=notes), notes)


async def coinbase_delta(core: Core, coin: str) -> tuple[float | None, Gathered]:
    """Coinbase's taker buys less sells of the last 300 s, USD, and the envelope's side of it.

    From the live tape once it covers them, else from pages of the venue's tape; null rather than
    that of a shorter time.
    """
    if "coinbase" in core.tape.able():
        flow = net_taker_usd(core.tape, "coinbase", coin)
        if flow.usd is not None and flow.coverage == LIVE:
            return flow.usd, Gathered(answered=["coinbase"])
    tape = await part(coinbase_tape(core, coin))
    whole = bool(tape.answered) and not tape.partial
    return (taker_delta(tape.rows) if whole else None), tape


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
