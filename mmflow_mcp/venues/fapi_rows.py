"""Rows out of the answers that `fapi_perps` collects. Pure: the same answers give the same rows.

A linear contract is a unit of its base asset (1000PEPE: a thousand PEPE) priced at its mark; an
inverse one is a fixed number of USD. `lastFundingRate` is, against its name, the estimate for the
running period, charged at `nextFundingTime`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.contracts import (
    Contract,
    OpenPart,
    funding_row,
    main_perpetuals,
    rank_of,
    sum_open_interest,
)
from mmflow_mcp.venues.fapi import (
    ALWAYS,
    Line,
    Listed,
    Row,
    parse_contracts,
    parse_periods,
    parse_quotes,
)
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

    `whole`: whether every list of contracts could be had and is no excerpt. `odd`: why those that
    could be had are not whole. `bad`: rows of lists that could not be read.
    """

    places: dict[str, tuple[Place, ...]]
    whole: bool
    odd: tuple[str, ...]
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
    odd: list[str] = []
    whole, bad = True, 0
    for book in books:
        quotes = quotes_of(book)
        listed = listing_of(book)
        names = f"{book.line.prefix}exchangeInfo"
        lost = (
            [s for s in map(book.line.usual.format, ALWAYS) if s not in listed.symbols]
            if listed
            else []
        )
        if listed is None:
            whole = False
        elif listed.symbols and lost:
            whole = False
            if quotes and not listed.symbols & quotes.keys():
                odd.append(
                    f"changed: the list of contracts is not that of what is quoted ({names})"
                )
                listed = None
            else:
                odd.append(f"missing: the list of contracts lacks {', '.join(lost)} ({names})")
        contracts = list(listed.contracts.values()) if listed else []
        bad += listed.bad if listed else 0
        for contract in (*contracts, *_guessed(book, quotes, listed)):
            places.setdefault(contract.coin, []).append((book.line, contract))
    return Shelf(
        {coin: tuple(sorted(places[coin], key=lambda p: rank_of(p[1]))) for coin in sorted(places)},
        whole,
        tuple(odd),
        bad,
    )


def quotes_of(book: Book) -> Quotes:
    """The quotes of a line by symbol, with the answer that each came in."""
    return {
        symbol: (row, wire)
        for wire in book.quoted
        for symbol, row in wire.parsed(parse_quotes).items()
    }


def listing_of(book: Book) -> Listed | None:
    """The list of contracts as it was read, None where it could not be had."""
    return book.listed.parsed(parse_contracts, book.line) if book.listed else None


def _guessed(book: Book, quotes: Quotes, listed: Listed | None) -> list[Contract]:
    """Contracts that are not named: quoted ones, and those that every line has.

    Without a next settlement a quoted one is delisted. A list that is empty lists nothing.
    """
    named = listed.symbols if listed else frozenset()
    symbols = [s for s, (row, _) in quotes.items() if s not in named and row.get("nextFundingTime")]
    if named or not listed:
        usual = map(book.line.usual.format, ALWAYS)
        symbols += [s for s in usual if s not in named and s not in quotes]
    return [contract for contract in map(book.line.guess, symbols) if contract]


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
) -> tuple[dict[str, OpenInterestRow], Silent, Silent]:
    """Rows of the contracts counted, by coin, and symbols by coin: not readable, wrongly timed.

    Wrongly timed are those whose mark price is of another hour than their open interest.
    """
    marks = read_marks(books)
    places = shelve(books).places
    parts: dict[str, list[OpenPart]] = {}
    read_at: dict[str, int] = {}
    silent: Silent = {}
    apart: Silent = {}
    for contract, wire in counted:
        coin = contract.coin
        try:
            part, mark = _open_part(contract, wire, marks, places[coin])
        except (KeyError, TypeError, ValueError, AttributeError):
            silent.setdefault(coin, []).append(contract.symbol)
            continue
        parts.setdefault(coin, []).append(part)
        at = wire.fetched_at if mark is None else min(wire.fetched_at, mark.read_at)
        read_at[coin] = min(at, read_at.get(coin, at))
        if mark is not None and is_apart(mark, wire):
            apart.setdefault(coin, []).append(contract.symbol)
    rows: dict[str, OpenInterestRow] = {}
    for coin, same in parts.items():
        rows |= sum_open_interest(venue, same, read_at[coin], missing=silent)
    return rows, silent, apart


class Mark(NamedTuple):
    """A mark price, USD per coin, and when it was read."""

    usd: float
    read_at: int


Marks = dict[str, list[Mark]]


def read_marks(books: Books) -> Marks:
    """Every mark price that was read, by symbol."""
    contracts = {
        contract.symbol: contract
        for places in shelve(books).places.values()
        for _, contract in places
    }
    marks: Marks = {}
    for wire in (wire for book in books for wire in book.quoted):
        for symbol, row in wire.parsed(parse_quotes).items():
            try:
                usd = positive_or_none(row.get("markPrice"))
            except (TypeError, ValueError):
                continue
            if usd and symbol in contracts:
                mark = Mark(usd / contracts[symbol].multiplier, wire.fetched_at)
                marks.setdefault(symbol, []).append(mark)
    return marks


def nearest(marks: Marks, symbol: str, wire: Wire) -> Mark | None:
    """The mark price of a symbol that was read nearest to an answer."""
    return _nearest_of(marks.get(symbol, ()), wire)


def _nearest_of(marks: Iterable[Mark | None], wire: Wire) -> Mark | None:
    known = filter(None, marks)
    return min(known, key=lambda mark: abs(mark.read_at - wire.fetched_at), default=None)


def is_apart(mark: Mark, wire: Wire) -> bool:
    """Whether a mark price and an answer are so far apart that their product misleads."""
    return abs(mark.read_at - wire.fetched_at) > HOUR_MS


def _open_part(
    contract: Contract, wire: Wire, marks: Marks, places: Iterable[Place]
) -> tuple[OpenPart, Mark | None]:
    """One contract's open interest, one-sided, and the mark price in it."""
    if wire.doc["symbol"] != contract.symbol:
        msg = "another symbol's open interest"
        raise ValueError(msg)
    units = amount(wire.doc["openInterest"])
    mark = nearest(marks, contract.symbol, wire)
    coins: float | None = None
    if contract.margin == "linear":
        if mark is None:
            msg = "no mark price"
            raise ValueError(msg)
        usd, coins = units * contract.multiplier * mark.usd, units * contract.multiplier
    else:
        usd = units * positive(contract.size)
        if mark is None or is_apart(mark, wire):
            # METHODS 2: the rows of one venue at one mark, here that of the coin's main perpetual.
            others = (nearest(marks, other.symbol, wire) for _, other in places)
            mark = _nearest_of([mark, *others], wire)
        coins = usd / mark.usd if mark else None
    return OpenPart(contract.coin, contract.symbol, usd, coins), mark


def parse_funding(_: Wire, venue: str, books: Books) -> tuple[dict[str, FundingRow], Silent, int]:
    """Rows by coin, the perpetuals that should have spoken for their coin, and the bad rows."""
    shelf = shelve(books)
    quotes = {symbol: quote for book in books for symbol, quote in quotes_of(book).items()}
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
    list that is an hour old may tell of a period that has been changed. What no list names is taken
    where no other length explains it: what is settled in 5 hours is settled every 8.
    """
    symbol = row["symbol"]
    # A list of the adjusted periods need not name the usual contract; one of all periods must.
    usual = periods.keys() >= {line.usual.format(coin) for coin in ALWAYS}
    whole = bool(periods) and (line.aligned or usual)
    if symbol not in periods and not whole:
        fitting = [h for h in PERIODS if _fits(h, row, next_ms, aligned=line.aligned)]
        if symbol in line.steady and 8 in fitting:
            return 8.0
        return fitting[0] if len(fitting) == 1 else None
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
