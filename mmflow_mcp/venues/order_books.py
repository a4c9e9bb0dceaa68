"""What venues' order books have in common: sizes become coins, and a crossed book is refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmflow_mcp.errors import VenueChanged, VenueError
from mmflow_mcp.rows.candles import OrderBook
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.candle_pages import wanted_of
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import amount, each, positive

# Seconds: a book is old sooner than anything else.
FRESH = 2.0
Level = tuple[float, float]
Pair = Callable[[Any], tuple[object, object]]


@dataclass(frozen=True, slots=True)
class BookSource:
    """How a venue tells books: `call` asks for a contract's, `read` gives it and the bad rows."""

    call: Callable[[Contract], Call]
    read: Callable[[Wire, Contract], tuple[OrderBook, int]]


def level_of(price: object, count: object, contract: Contract) -> Level | None:
    """(price per coin, coins) of a level; None where nothing waits.

    `count`: contracts of a linear or an inverse contract, as `Contract.size` tells their size.
    """
    units = amount(count) * positive(contract.size)
    per_coin = positive(price) / contract.multiplier
    if not units:
        return None
    coins = units / per_coin if contract.margin == "inverse" else units * contract.multiplier
    return per_coin, coins


def book_of(
    venue: str,
    contract: Contract,
    sides: tuple[object, object],
    pair: Pair,
    wire: Wire,
    venue_time: int | None,
) -> tuple[OrderBook, int]:
    """A book of bids and asks, each level once, and the levels that could not be read.

    `pair` gives price and count of a level. Raises `VenueChanged` for a crossed or an empty book.
    """

    def read(row: Any) -> Level | None:
        return level_of(*pair(row), contract)

    if not contract.size:
        raise VenueChanged("missing: the size of a contract is not known")
    (bids, bad), (asks, worse) = (each(side, read) for side in sides)  # type: ignore[arg-type]
    best_first = sorted(dict(bids).items(), reverse=True), sorted(dict(asks).items())
    if not any(best_first):
        raise VenueChanged("missing: the book is empty")
    if all(best_first) and best_first[0][0][0] >= best_first[1][0][0]:
        raise VenueChanged("changed: the book is crossed")
    made = OrderBook(
        coin=contract.coin,
        venue=venue,
        symbol=contract.symbol,
        market="perp",
        quote=contract.quote,
        bids=tuple(best_first[0]),
        asks=tuple(best_first[1]),
        fetched_at=wire.fetched_at,
        venue_time=venue_time,
    )
    return made, bad + worse


async def ask_books(
    ask: Ask, contracts: Mapping[str, Contract], source: BookSource
) -> list[OrderBook]:
    """A book for each coin asked that has a contract; `contracts` are the main ones by coin."""
    ask.universe = contracts
    chosen = [contracts[coin] for coin in wanted_of(ask) if coin in contracts]
    books = []
    wires = await ask.all(*(source.call(contract) for contract in chosen))
    for contract, wire in zip(chosen, wires, strict=True):
        try:
            found = wire.parsed(source.read, contract) if wire else None
        except VenueError as error:
            ask.short(f"{error.reason} ({contract.symbol})", coin=contract.coin)
            continue
        if found is None:
            # Why is said already: the call is optional.
            ask.unreadable.add(contract.coin)
            continue
        ask.unread(found[1])
        books.append(found[0])
    return books
