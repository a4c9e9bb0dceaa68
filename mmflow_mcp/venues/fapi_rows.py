"""Rows out of the answers that `fapi_perps` collects. Pure: the same answers give the same rows.

A linear contract is a unit of its base asset (1000PEPE: a thousand PEPE) priced at its mark; an
inverse one is a fixed number of USD. `lastFundingRate` is, against its name, the estimate for the
running period, charged at `nextFundingTime`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.contracts import (
    USDT_FIRST,
    Contract,
    OpenPart,
    funding_row,
    main_perpetuals,
    sum_open_interest,
)
from mmflow_mcp.venues.fapi import Line, Row, parse_contracts, parse_periods, parse_quotes
from mmflow_mcp.venues.fields import (
    amount,
    each,
    ms,
    number_or_none,
    positive,
    positive_or_none,
    rate,
)

LARGEST = 20
MINUTE_MS = 60_000
# The lengths of period that are in use; what fits only one of them needs no list.
PERIODS = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Book:
    """What was read of one line.

    `listed`: its list of contracts, false when that could not be had.
    """

    line: Line
    listed: Wire
    quoted: tuple[Wire, ...]
    periods: Wire | None = None


Books = tuple[Book, ...]
Place = tuple[Line, Contract]
Quotes = dict[str, tuple[Row, Wire]]
Silent = dict[str, list[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """The perpetuals of a venue by coin, the main one first.

    `whole`: whether every list of contracts could be had and used. `foreign`: labels of those that
    name nothing that is quoted. `bad`: rows of lists that could not be read.
    """

    places: dict[str, tuple[Place, ...]]
    whole: bool
    foreign: tuple[str, ...]
    bad: int


def carrier_of(books: Books) -> Wire:
    """The answer beside which what is read of these books is kept."""
    wires = (wire for book in books for wire in (*book.quoted, book.listed) if wire)
    return next(wires, None) or Wire(None, fetched_at=0, read=0.0, size=0)


def shelve(books: Books) -> Shelf:
    """The perpetuals of these books by coin."""
    return carrier_of(books).parsed(parse_shelf, books)


def parse_shelf(_: Wire, books: Books) -> Shelf:
    """Contracts as the lists say; what they do not name (yet), where the symbol alone is sure."""
    places: dict[str, list[Place]] = {}
    foreign: list[str] = []
    whole, bad = True, 0
    for book in books:
        quotes = _quotes_of(book)
        contracts, named = list[Contract](), frozenset[str]()
        if _is_listing(book, quotes):
            listed = book.listed.parsed(parse_contracts, book.line)
            contracts, named, bad = (
                list(listed.contracts.values()),
                listed.symbols,
                bad + listed.bad,
            )
        else:
            whole = False
            foreign += [f"{book.line.prefix}exchangeInfo"] if book.listed else []
        for contract in (*contracts, *_guessed(book, quotes, named)):
            places.setdefault(contract.coin, []).append((book.line, contract))
    return Shelf(
        {coin: tuple(sorted(places[coin], key=lambda p: rank_of(p[1]))) for coin in sorted(places)},
        whole,
        tuple(foreign),
        bad,
    )


def rank_of(contract: Contract) -> tuple[int, int, str]:
    """The order in which perpetuals speak for their coin."""
    key = contract.rank_key
    order = USDT_FIRST.index(key) if key in USDT_FIRST else len(USDT_FIRST)
    return order, contract.multiplier, contract.symbol


def _quotes_of(book: Book) -> Quotes:
    return {
        symbol: (row, wire)
        for wire in book.quoted
        for symbol, row in wire.parsed(parse_quotes).items()
    }


def _is_listing(book: Book, quotes: Quotes) -> bool:
    """Whether the list of contracts can be had, and is that of what is quoted."""
    if not book.listed:
        return False
    symbols = book.listed.parsed(parse_contracts, book.line).symbols
    return not symbols or not quotes or any(symbol in symbols for symbol in quotes)


def _guessed(book: Book, quotes: Quotes, named: frozenset[str]) -> list[Contract]:
    """Contracts of quoted symbols that are not named. Without a next settlement it is delisted."""
    unnamed = (s for s, (row, _) in quotes.items() if s not in named and row.get("nextFundingTime"))
    return [contract for contract in map(book.line.guess, unnamed) if contract]


def parse_largest(tickers: Wire, shelf: Shelf) -> list[str]:
    """The coins of most 24 h volume, in dollars over their linear perpetuals, largest first."""
    coins = {
        contract.symbol: coin
        for coin, places in shelf.places.items()
        for _, contract in places
        if contract.margin == "linear"
    }

    def read(row: Row) -> tuple[str, float] | None:
        if row["symbol"] not in coins:
            return None
        return row["symbol"], amount(row["quoteVolume"])

    volumes: dict[str, float] = {}
    for symbol, volume in dict(each(tickers.doc, read)[0]).items():
        volumes[coins[symbol]] = volumes.get(coins[symbol], 0.0) + volume
    return sorted(volumes, key=lambda coin: (-volumes[coin], coin))[:LARGEST]


def parse_open_interest(
    _: Wire, venue: str, books: Books, counted: tuple[tuple[Contract, Wire], ...]
) -> tuple[dict[str, OpenInterestRow], Silent]:
    """Rows of the contracts counted, by coin, and the symbols that could not be."""
    quotes = {symbol: quote for book in books for symbol, quote in _quotes_of(book).items()}
    places = shelve(books).places
    parts: dict[str, list[OpenPart]] = {}
    read_at: dict[str, int] = {}
    silent: Silent = {}
    for contract, wire in counted:
        coin = contract.coin
        try:
            part, at = _open_part(contract, wire, quotes, places[coin])
        except (KeyError, TypeError, ValueError, AttributeError):
            silent.setdefault(coin, []).append(contract.symbol)
            continue
        parts.setdefault(coin, []).append(part)
        read_at[coin] = min(at, read_at.get(coin, at))
    rows: dict[str, OpenInterestRow] = {}
    for coin, same in parts.items():
        rows |= sum_open_interest(venue, same, read_at[coin], missing=silent)
    return rows, silent


def _open_part(
    contract: Contract, wire: Wire, quotes: Quotes, places: Iterable[Place]
) -> tuple[OpenPart, int]:
    """One contract's open interest, one-sided, and when the oldest answer behind it was read."""
    if wire.doc["symbol"] != contract.symbol:
        msg = "another symbol's open interest"
        raise ValueError(msg)
    units = amount(wire.doc["openInterest"])
    priced = _mark_of(contract, quotes)
    coins: float | None = None
    if contract.margin == "linear":
        if priced is None:
            msg = "no mark price"
            raise ValueError(msg)
        usd, coins = units * contract.multiplier * priced[0], units * contract.multiplier
    else:
        usd = units * positive(contract.size)
        if priced is None:
            # METHODS 2: the rows of one venue at one mark, here that of the coin's main perpetual.
            others = (_mark_of(other, quotes) for _, other in places)
            priced = next(filter(None, others), None)
        coins = usd / priced[0] if priced else None
    at = wire.fetched_at if priced is None else min(wire.fetched_at, priced[1])
    return OpenPart(contract.coin, contract.symbol, usd, coins), at


def _mark_of(contract: Contract, quotes: Quotes) -> tuple[float, int] | None:
    """The mark price per coin and when it was read; None where it is unknown."""
    row, wire = quotes.get(contract.symbol, ({}, None))
    try:
        mark = positive_or_none(row.get("markPrice"))
    except (TypeError, ValueError):
        return None
    return (mark / contract.multiplier, wire.fetched_at) if mark and wire else None


def parse_funding(_: Wire, venue: str, books: Books) -> tuple[dict[str, FundingRow], Silent, int]:
    """Rows by coin, the perpetuals that should have spoken for their coin, and the bad rows."""
    shelf = shelve(books)
    quotes = {symbol: quote for book in books for symbol, quote in _quotes_of(book).items()}
    periods = {book.line: _periods_of(book) for book in books}

    def read(place: Place) -> tuple[Contract, FundingRow] | None:
        line, contract = place
        row, wire = quotes.get(contract.symbol, ({}, None))
        next_ms = ms(row.get("nextFundingTime"))
        if wire is None or next_ms is None or row["lastFundingRate"] == "":
            return None
        hours = read_hours(line, row, next_ms, periods[line])
        if hours is None:
            return None
        made = funding_row(
            venue,
            contract,
            rate(row["lastFundingRate"]),
            hours,
            wire.fetched_at,
            mark=positive_or_none(row.get("markPrice")),
            next_ms=next_ms,
        )
        return contract, made

    every = [place for places in shelf.places.values() for place in places]
    found, bad = each(every, read)
    rows = main_perpetuals(found)
    return rows, _outranked(shelf, found, rows), bad


def _outranked(
    shelf: Shelf, found: list[tuple[Contract, FundingRow]], rows: dict[str, FundingRow]
) -> Silent:
    """Perpetuals without a row that rank above the one that speaks for their coin, by coin."""
    read = {contract.symbol: contract for contract, _ in found}
    silent: Silent = {}
    for _, contract in (place for places in shelf.places.values() for place in places):
        row = rows.get(contract.coin)
        if contract.symbol in read or (row and rank_of(read[row.symbol]) < rank_of(contract)):
            continue
        silent.setdefault(contract.coin, []).append(contract.symbol)
    return silent


def _periods_of(book: Book) -> dict[str, float | None]:
    return book.periods.parsed(parse_periods) if book.periods else {}


def read_hours(
    line: Line, row: Row, next_ms: int, periods: dict[str, float | None]
) -> float | None:
    """The hours of a perpetual's period; None where they cannot be known for sure.

    They are listed, or assumed as the venue documents, and must agree with the next settlement: a
    list that is an hour old may tell of a period that has been changed. Without any list only a
    period that no other length explains is taken.
    """
    symbol = row["symbol"]
    if not periods:
        fitting = [hours for hours in PERIODS if _fits(hours, row, next_ms)]
        return fitting[0] if line.aligned and len(fitting) == 1 else None
    listed = periods[symbol] if symbol in periods else line.assume(row)
    if listed is None or not _fits(listed, row, next_ms, aligned=line.aligned):
        return None
    return listed


def _fits(hours: float, row: Row, next_ms: int, *, aligned: bool = True) -> bool:
    """Whether a period of so many hours can end at the next settlement."""
    period = round(hours * HOUR_MS)
    said_at = number_or_none(row.get("time"))
    if said_at is not None and next_ms - said_at > period + MINUTE_MS:
        return False
    return not aligned or (next_ms + MINUTE_MS) % period <= 2 * MINUTE_MS
