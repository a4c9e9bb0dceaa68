"""Order books as every venue's adapter makes them: best first, in coins and per coin, not crossed.

A venue says how it is asked and where its sides are (`BookSource`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.candles import OrderBook
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.fields import amount, each, positive
from mmflow_mcp.venues.singles import ask_some
from mmflow_mcp.venues.traded import Traded

# Seconds: a book is old sooner than anything else.
FRESH = 2.0

Level = tuple[float, float]


class Sides(NamedTuple):
    """The two sides of a book as the wire holds them; `at_ms` is the venue's time of it.

    A level's price and size are at the keys `price` and `size` of its list or object.
    """

    bids: Any
    asks: Any
    at_ms: int | None = None
    price: int | str = 0
    size: int | str = 1


@dataclass(frozen=True, slots=True)
class BookSource:
    """How a venue tells an order book: the request, and where the sides are in its answer."""

    call: Callable[[Traded], Call]
    sides: Callable[[Any, Traded], Sides]


async def ask_books(ask: Ask, traded: Iterable[Traded], source: BookSource) -> list[OrderBook]:
    """A book for each market; one that is crossed, empty or unreadable is said and left out.

    Raises the first one's error where no book could be had.
    """
    markets = list(traded)
    calls = [replace(source.call(market), fresh=FRESH, optional=True) for market in markets]
    rows = []
    for market, wire in zip(markets, await ask_some(ask, calls), strict=True):
        if not wire:
            # Why is said already: the call is optional.
            ask.unreadable.add(market.coin)
            continue
        try:
            book, bad = wire.parsed(parse_book, ask.venue, market, source.sides)
        except VenueChanged as error:
            ask.short(f"{error.reason} ({market.symbol})", coin=market.coin)
            continue
        ask.unread(bad)
        rows.append(book)
    return rows


def parse_book(
    wire: Wire, venue: str, market: Traded, find: Callable[[Any, Traded], Sides]
) -> tuple[OrderBook, int]:
    """A book and the levels that could not be read. Raises `VenueChanged` for what is no book."""
    try:
        sides = find(wire.doc, market)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise VenueChanged("changed: there is no order book in the answer") from error
    if not market.size:
        raise VenueChanged("missing: the size of a contract is not known")

    def read(level: Any) -> Level | None:
        return level_of(level[sides.price], level[sides.size], market)

    bids, no_bids = each(sides.bids, read)
    asks, no_asks = each(sides.asks, read)
    if not bids or not asks:
        raise VenueChanged("missing: the book lacks a side")
    book = OrderBook(
        coin=market.coin,
        venue=venue,
        symbol=market.symbol,
        market=market.market,
        quote=market.quote,
        bids=tuple(sorted(dict(bids).items(), reverse=True)),
        asks=tuple(sorted(dict(asks).items())),
        fetched_at=wire.fetched_at,
        venue_time=sides.at_ms,
    )
    if book.bids[0][0] >= book.asks[0][0]:
        raise VenueChanged("changed: the book is crossed")
    return book, no_bids + no_asks


def level_of(price: Any, size: Any, market: Traded) -> Level | None:
    """(price per coin, coins) of a level; None where nothing waits: a level of 0 has gone."""
    per_coin = positive(price) / market.multiplier
    units = amount(size) * market.size
    if not units:
        return None
    return per_coin, units / per_coin if market.inverse else units * market.multiplier
