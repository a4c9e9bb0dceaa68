"""Candles and order books of the simulated market, pure functions of time.

A candle looks at the price every so often: opens and closes of candles of different lengths agree
always, highs and lows where they look as often, as those of half an hour to four hours do.
"""

from dataclasses import dataclass

from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.noise import stream, unit, wave
from mmflow_mcp.sim.shapes import Listing

MINUTE_MS = 60_000
# Between two looks: a sixth of the candle, within these. The quickest wave of a price takes 90
# minutes, so that more looks would find the same. A day is read every half hour.
_LEAST_MS, _USUAL_MS = 15_000, 5 * MINUTE_MS
_STEPS, _MOST_STEPS = 6, 48


@dataclass(frozen=True, slots=True)
class Bar:
    """One candle: prices in USD per symbol unit; `units`: volume in symbol units (one-sided).

    `turnover`: USD. `trades`: how many. `closed`: whether its interval is over.
    """

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    units: float
    turnover: float
    trades: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Book:
    """Resting orders: (price in USD per symbol unit, size in symbol units), best first.

    Of an inverse listing sizes are in symbol units too: a venue that prints contracts divides.
    """

    at_ms: int
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


def bar(
    market: Market,
    listing: Listing,
    start_ms: int,
    length_ms: int,
    now_ms: int,
    *,
    looks: int = _MOST_STEPS,
) -> Bar | None:
    """The candle that opens at `start_ms`; None before its first second and for dead listings.

    `looks`: how many moments are looked at for high and low; the rest is the same with one.
    """
    end = min(start_ms + length_ms, now_ms)
    if end <= start_ms or listing.status != "live":
        return None
    step = max(_LEAST_MS, min(length_ms // _STEPS, _USUAL_MS), length_ms // looks)
    marks = [market.mark(listing, at) for at in range(start_ms, end, step)]
    close = market.mark(listing, end)
    key = stream(market.seed, f"bar/{listing.venue}/{listing.symbol}")
    prices = [*marks, close]
    minutes = (end - start_ms) / MINUTE_MS
    busy = 1.0 + 0.8 * wave(key, start_ms, 7 * 3_600_000)
    units = round(minutes * busy * 40_000.0 / marks[0], max(listing.size_digits, 0) + 2)
    return Bar(
        start_ms=start_ms,
        open=marks[0],
        high=max(prices),
        low=min(prices),
        close=close,
        units=units,
        turnover=round(units * (marks[0] + close) / 2, 4),
        trades=max(1, round(minutes * busy * 25)),
        closed=end == start_ms + length_ms,
    )


def bars(
    market: Market, listing: Listing, first_ms: int, until_ms: int, length_ms: int, now_ms: int
) -> list[Bar]:
    """The candles that open from `first_ms` on (rounded up to the grid) and before `until_ms`."""
    start = -(-first_ms // length_ms) * length_ms
    found = (
        bar(market, listing, at, length_ms, now_ms)
        for at in range(start, min(until_ms, now_ms), length_ms)
    )
    return [one for one in found if one is not None]


def book(market: Market, listing: Listing, at_ms: int, levels: int) -> Book:
    """A book around the last price, thinner near it, never crossed; empty for dead listings."""
    perp = market.perp(listing, at_ms)
    if listing.status != "live":
        return Book(at_ms, (), ())
    key = stream(market.seed, f"book/{listing.venue}/{listing.symbol}")
    tick = 10.0**-listing.price_digits
    step = max(tick, round(perp.last * 0.0001 / tick) * tick)

    def side(best: float, sign: int) -> tuple[tuple[float, float], ...]:
        out = []
        for n in range(levels):
            price = round(best + sign * step * n, listing.price_digits)
            if price <= 0:
                break
            luck = unit(key, (at_ms // 1000) * 8192 + n * 2 + (sign > 0))
            usd = 2_000.0 * (1 + 0.2 * n) * (0.3 + luck)
            size = round(usd / price, max(listing.size_digits, 0))
            out.append((price, size or 10.0 ** -max(listing.size_digits, 0)))
        return tuple(out)

    return Book(at_ms, side(perp.bid, -1), side(perp.ask, 1))
