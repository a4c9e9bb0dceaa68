"""Trade prints as a pure function of time: the same second always holds the same prints."""

from dataclasses import dataclass

from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.noise import stream, unit
from mmflow_mcp.sim.shapes import Listing


@dataclass(frozen=True, slots=True)
class Print:
    """One trade: `price` in USD per symbol unit, `size` in symbol units (USD when inverse).

    `buy` tells the taker's side; `number` is unique and ascending per listing, below 2**53.
    """

    listing: Listing
    at_ms: int
    price: float
    size: float
    buy: bool
    number: int


def list_prints(market: Market, listing: Listing, after_ms: int, until_ms: int) -> list[Print]:
    """Prints with after_ms < time <= until_ms, oldest first; at most the last 600 seconds."""
    first = max(after_ms, until_ms - 600_000) // 1000
    prints = [
        one
        for second in range(first, until_ms // 1000 + 1)
        for one in _prints_of(market, listing, second)
    ]
    return [one for one in prints if after_ms < one.at_ms <= until_ms]


def _prints_of(market: Market, listing: Listing, second: int) -> list[Print]:
    """None to three prints of one second; busy listings print more often, a few are large."""
    key = stream(market.seed, f"prints/{listing.venue}/{listing.symbol}")
    draw = unit(key, second)
    count = (draw < 0.5) + (draw < 0.2) + (draw < 0.05)
    if not count or listing.status != "live":
        return []
    mark = market.mark(listing, second * 1000)
    out: list[Print] = []
    for n in range(count):
        luck = unit(key ^ 0xA5A5, second * 4 + n)
        usd = 40.0 / (1.0 - luck * 0.9999)
        price = round(mark * (1.0 + 0.0002 * (luck - 0.5)), listing.price_digits)
        size = round(usd / (1.0 if listing.margin == "inverse" else price), listing.size_digits)
        if size > 0.0:
            buy = unit(key ^ 0x5A5A, second * 4 + n) < 0.5
            at_ms = second * 1000 + 1 + n * 300
            out.append(Print(listing, at_ms, price, size, buy, second * 1024 + n))
    return out
