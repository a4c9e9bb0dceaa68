"""Who holds what in the simulated world: shares of longs and liquidations, functions of time.

One truth for all venues; each renders it in its own shape.
"""

from dataclasses import dataclass
from functools import lru_cache

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.noise import stream, unit, wave
from mmflow_mcp.sim.shapes import Listing

_MINUTE_MS = 60_000
_MIDDLE = {"global": 0.56, "top": 0.5}
_BUSY = {"BTC": 0.3, "ETH": 0.25, "SOL": 0.12}


def long_share(market: Market, venue: str, coin: str, view: str, at_ms: int) -> float:
    """The share of longs at a moment, 4 decimals; view global (accounts) or top (positions)."""
    key = stream(market.seed, f"share/{venue}/{coin}/{view}")
    moved = 0.12 * wave(key, at_ms, 9 * HOUR_MS) + 0.03 * wave(key, at_ms, HOUR_MS // 4, 1)
    return round(_MIDDLE[view] + moved, 4)


def closed_share(
    market: Market, venue: str, coin: str, view: str, period_ms: int, now_ms: int
) -> tuple[float, int]:
    """(share, end of the sample) of the newest period that is over."""
    end = now_ms // period_ms * period_ms
    return long_share(market, venue, coin, view, end), end


@dataclass(frozen=True, slots=True)
class Closure:
    """A position closed by force: `size` in the listing's natural unit, as its open interest.

    `price` in USD per unit of the symbol, `usd` its worth.
    """

    listing: Listing
    at_ms: int
    long: bool
    price: float
    size: float
    usd: float


def closures(market: Market, listing: Listing, after_ms: int, until_ms: int) -> list[Closure]:
    """Those with after_ms < time <= until_ms, oldest first."""
    if not listing.counted:
        return []
    minutes = range(after_ms // _MINUTE_MS, until_ms // _MINUTE_MS + 1)
    return [
        one
        for minute in minutes
        for one in _closures_of(market, listing, minute)
        if after_ms < one.at_ms <= until_ms
    ]


def closures_of_venue(market: Market, venue: str, after_ms: int, until_ms: int) -> list[Closure]:
    """Those of all contracts of a venue with after_ms < time <= until_ms, oldest first."""
    minutes = range(after_ms // _MINUTE_MS, until_ms // _MINUTE_MS + 1)
    found = [one for minute in minutes for one in _minute_of_venue(market, venue, minute)]
    return [one for one in found if after_ms < one.at_ms <= until_ms]


@lru_cache(maxsize=8192)
def _minute_of_venue(market: Market, venue: str, minute: int) -> tuple[Closure, ...]:
    listed = [one for one in market.listings(venue, minute * _MINUTE_MS) if one.counted]
    found = [one for listing in listed for one in _closures_of(market, listing, minute)]
    return tuple(sorted(found, key=lambda one: one.at_ms))


@lru_cache(maxsize=65_536)
def _closures_of(market: Market, listing: Listing, minute: int) -> tuple[Closure, ...]:
    """None in most minutes, one in some, and now and then three at one moment.

    Gate tells seconds, so that is what its moments are.
    """
    key = stream(market.seed, f"closed/{listing.venue}/{listing.symbol}")
    draw = unit(key, minute)
    likely = _BUSY.get(listing.coin, 0.02) * (1.0 if listing.quote == "USDT" else 0.1)
    if draw >= likely:
        return ()
    inside = int(unit(key ^ 0xC3C3, minute) * _MINUTE_MS)
    at_ms = minute * _MINUTE_MS + inside
    if listing.venue == "gateio":
        at_ms -= at_ms % 1000
    mark = market.held(listing, at_ms)[1]
    long = unit(key ^ 0x3C3C, minute) < 0.55
    count = 3 if draw < likely / 12 else 1
    luck = [unit(key + n, minute * 7 + n) for n in range(count)]
    return tuple(_closure(listing, at_ms, mark, long=long, luck=one) for one in luck)


def _closure(listing: Listing, at_ms: int, mark: float, *, long: bool, luck: float) -> Closure:
    price = round(mark * (0.997 if long else 1.003), listing.price_digits)
    usd = (2400.0 if listing.coin in _BUSY else 150.0) / (1.0 - luck * 0.9999)
    per_contract = listing.contract_size * (1.0 if listing.margin == "inverse" else price)
    step = 10.0**-listing.size_digits
    size = max(step, round(usd / per_contract, listing.size_digits))
    return Closure(listing, at_ms, long, price, size, size * per_contract)


def liquidated(
    market: Market, venue: str, coin: str, now_ms: int, span_ms: int = DAY_MS
) -> tuple[float, float, float, int]:
    """(longs, shorts, largest) in USD and the number of records in (now - span, now].

    Over the live perpetuals of a coin; records that agree in everything are one.
    """
    found = {
        (one.listing.symbol, one.at_ms, one.long, one.price, one.size): one
        for listing in market.listings(venue, now_ms)
        if listing.coin == coin
        for one in closures(market, listing, now_ms - span_ms, now_ms)
    }.values()
    longs = sum(one.usd for one in found if one.long)
    shorts = sum(one.usd for one in found if not one.long)
    return longs, shorts, max((one.usd for one in found), default=0.0), len(found)
