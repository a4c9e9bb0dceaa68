"""Open interest and funding of venues that speak the grammar of `fapi`: what is asked, and when.

Funding takes one round of requests. Open interest takes one while the lists of contracts are known
(marks and open interest together) and two when they are not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from mmflow_mcp.errors import VenueChanged, VenueError
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import NOTHING, Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract, rank_of
from mmflow_mcp.venues.fapi import (
    ALWAYS,
    Line,
    day_tickers,
    exchange_info,
    forms_of,
    funding_info,
    held_of,
    parse_contracts,
    parse_quotes,
    premium_index,
    usual_of,
)
from mmflow_mcp.venues.fapi_rows import (
    Book,
    Books,
    Place,
    Shelf,
    carrier_of,
    is_apart,
    listing_of,
    nearest,
    parse_funding,
    parse_largest,
    parse_open_interest,
    quotes_of,
    read_marks,
    shelve,
)
from mmflow_mcp.venues.moments import are_apart, note_apart
from mmflow_mcp.venues.singles import FEW, REFUSALS, ask_singly, tells_refusal

Held = dict[str, Wire]

# So many symbols are named one by one in a reason.
NAMED = 6


async def ask_open_interest(ask: Ask, lines: tuple[Line, ...]) -> list[OpenInterestRow]:
    """All perpetuals of each coin, summed over the lines of a venue.

    Without coins: of the largest by 24 h volume on the first line.
    """
    books, tickers, held, refusal = await _first_round(ask, lines)
    books = await _with_singles(ask, books, _all_unquoted(ask, books), every=refusal is not None)
    shelf = shelve(books)
    places = _places(ask, shelf, tickers)
    rest = [place for place in places if place[1].symbol not in held]
    wires = await ask.all(*(held_of(line, contract.symbol) for line, contract in rest))
    held |= {contract.symbol: wire for (_, contract), wire in zip(rest, wires, strict=True)}
    counted = tuple((place[1], held[place[1].symbol]) for place in places)
    books = await _with_near_marks(ask, books, places, held)
    rows, silent, apart = carrier_of(books).parsed(parse_open_interest, ask.venue, books, counted)
    _refuse(ask, books, rows, refusal)
    _note_gaps(ask, shelf, rows, silent, "open interest")
    for coin in ask.wants(apart):
        symbols = ", ".join(apart[coin])
        ask.short(f"stale: open interest of {symbols} is priced at a mark of another time")
    if are_apart(held.values()):
        note_apart(ask, rows, {symbol: wire.fetched_at for symbol, wire in held.items() if wire})
    picked = ask.pick(rows)
    ask.universe = shelf.places
    return picked


async def ask_funding(ask: Ask, lines: tuple[Line, ...]) -> list[FundingRow]:
    """The running rate of each coin's main perpetual.

    The lines after the first are asked for the coins that it gives no row of.
    """
    books, refusal = await _rates(ask, lines if ask.coins is None else lines[:1])
    rows, silent, bad = carrier_of(books).parsed(parse_funding, ask.venue, books)
    for line in lines[len(books) :]:
        if all(coin in rows for coin in ask.coins or ()):
            break
        try:
            more, refused = await _rates(ask, (line,), lacking=rows)
            books += more
            if refused and not more[0].quoted:
                ask.short(f"{refused.reason} ({line.prefix}premiumIndex)")
        except VenueError as error:
            ask.short(f"{error.reason} ({line.prefix}premiumIndex)")
            books += (Book(line, NOTHING, ()),)
        rows, silent, bad = carrier_of(books).parsed(parse_funding, ask.venue, books)
    ask.unread(bad)
    shelf = shelve(books)
    _refuse(ask, books, rows, refusal)
    _note_gaps(ask, shelf, rows, silent, "funding rate with a known period")
    picked = ask.pick(rows)
    ask.universe = shelf.places
    return picked


def listed_places(
    ask: Ask, lines: tuple[Line, ...], lists: Sequence[Wire], coin: str
) -> tuple[Books, list[Place]]:
    """A coin's perpetuals by these lists of contracts, the main one first.

    Without a whole list they are those that it is known or sure to have.
    """
    books = _books(ask, lines, lists, {})
    shelf = shelve(books)
    return books, list(shelf.places.get(coin, ())) if shelf.whole else _wanted(books, coin)


async def ask_main_contracts(
    ask: Ask, line: Line, coins: Iterable[str], what: str
) -> list[Contract]:
    """The perpetual of a line that speaks for each of these coins, the same as in `ask_funding`.

    Without the list of contracts it is the usual one of well-known coins; `what` is missing of the
    others.
    """
    books = _books(ask, (line,), await ask.all(exchange_info(line)), {})
    shelf = shelve(books)
    mains = {}
    for coin in coins:
        # Beside a whole list there is nothing to be guessed.
        places = shelf.places.get(coin, ()) if shelf.whole else _wanted(books, coin)
        if places:
            mains[coin] = places[0][1]
    _note_gaps(ask, shelf, mains, {}, what)
    ask.universe = shelf.places
    return list(mains.values())


def _refuse(ask: Ask, books: Books, rows: Mapping[str, object], refusal: VenueError | None) -> None:
    """Raise the refusal of the first line's quotes where nothing came in their place."""
    shelf = shelve(books)
    listed = any(coin in shelf.places for coin in ask.coins or ())
    quoted = any(book.quoted for book in books)
    if refusal and not ask.wants(rows) and not quoted and (listed or not shelf.whole):
        raise refusal


async def _first_round(
    ask: Ask, lines: tuple[Line, ...]
) -> tuple[Books, Wire, Held, VenueError | None]:
    """Lists and quotes; with the lists known, the open interest as well.

    If the first line's quotes are refused although coins were named: without them, and why.
    """
    lists = [exchange_info(line) for line in lines]
    if ask.coins is None:
        lists.append(day_tickers(lines[0]))
    early: list[Place] = []
    known = all(ask._upstream.peek(call) for call in lists)  # noqa: SLF001 - it saves a round
    if known:
        listed, tickers = _split(await ask.all(*lists), lines)
        early = _places(ask, shelve(_books(ask, lines, listed, {})), tickers)
    asked = [line for line in lines if line is lines[0] or not known or _is_in(line, early)]
    quotes = [premium_index(line, optional=line is not lines[0]) for line in asked]
    counts = [held_of(line, contract.symbol) for line, contract in early]
    refusal: VenueError | None = None
    try:
        wires = await ask.all(*lists, *quotes, *counts)
    except REFUSALS as error:
        if ask.coins is None:
            raise
        refusal = error
        wires = await ask.all(*lists, *quotes[1:], *counts)
        wires.insert(len(lists), NOTHING)
    listed, tickers = _split(wires[: len(lists)], lines)
    bulk = wires[len(lists) : len(lists) + len(quotes)]
    quoted = dict(zip(asked, ((wire,) for wire in bulk), strict=True))
    held = {
        contract.symbol: wire
        for (_, contract), wire in zip(early, wires[len(lists) + len(quotes) :], strict=True)
    }
    return _books(ask, lines, listed, quoted), tickers, held, refusal


def _split(wires: Sequence[Wire], lines: tuple[Line, ...]) -> tuple[Sequence[Wire], Wire]:
    """The lists of contracts, and the tickers where they were asked."""
    return wires[: len(lines)], wires[-1] if len(wires) > len(lines) else NOTHING


def _is_in(line: Line, places: Iterable[Place]) -> bool:
    return any(place[0] is line for place in places)


def _places(ask: Ask, shelf: Shelf, tickers: Wire) -> list[Place]:
    """The perpetuals of the coins asked for, or of the largest."""
    coins = ask.coins if ask.coins is not None else tickers.parsed(parse_largest, shelf)
    return [place for coin in coins for place in shelf.places.get(coin, ())]


async def _rates(
    ask: Ask, lines: tuple[Line, ...], lacking: Mapping[str, object] | None = None
) -> tuple[Books, VenueError | None]:
    """Quotes, lists and periods of some lines, and why the first one's quotes were refused.

    What the quotes do not hold of the coins asked for (and not in `lacking`) is asked one by one.
    """
    quotes = [premium_index(line, optional=line is not lines[0]) for line in lines]
    more = [*map(exchange_info, lines), *map(funding_info, lines)]
    size = len(lines)
    refusal: VenueError | None = None
    try:
        wires = await ask.all(*quotes, *more)
    except REFUSALS as error:
        if ask.coins is None:
            raise
        refusal = error
        wires = [NOTHING, *await ask.all(*quotes[1:], *more)]
    quoted = dict(zip(lines, ((wire,) for wire in wires[:size]), strict=True))
    books = _with_periods(_books(ask, lines, wires[size : 2 * size], quoted), wires[2 * size :])
    coins = [coin for coin in ask.coins or () if coin not in (lacking or ())]
    forms = _main_unquoted(books, coins)
    return await _with_singles(ask, books, forms, every=refusal is not None), refusal


# Requests of a symbol with the line that they are about, the first that is not refused counts.
Forms = dict[str, list[tuple[Line, Call]]]


def _wanted(books: Books, coin: str) -> list[Place]:
    """The perpetuals that a coin is known or sure to have, the main one first."""
    mine = list(shelve(books).places.get(coin, ()))
    symbols = {contract.symbol for _, contract in mine}
    for book in books:
        usual, listed = usual_of(book.line, coin), listing_of(book)
        named = listed.symbols if listed else frozenset()
        if usual is None or usual.symbol in named or usual.symbol in symbols:
            continue
        # A sum that lacks its largest contract looks right and is not.
        lacks = book is books[0] and mine and usual.quote not in {c.quote for _, c in mine}
        excerpt = named and not named.issuperset(map(book.line.usual.format, ALWAYS))
        if listed is None or lacks or excerpt:
            mine.append((book.line, usual))
    return sorted(mine, key=lambda place: rank_of(place[1]))


def _all_unquoted(ask: Ask, books: Books) -> Forms:
    """The perpetuals of the coins asked for that have no quote yet.

    An inverse one needs none, its open interest being USD, unless its line's quotes were refused.
    """
    refused = [reason for reason in ask.shortfalls if tells_refusal(reason)]
    labels = {book.line: f"({book.line.prefix}premiumIndex)" for book in books}
    quoted = {symbol for book in books for symbol in quotes_of(book)}
    forms: Forms = {}
    for coin in ask.coins or ():
        for line, contract in _wanted(books, coin):
            if contract.margin != "linear" and not any(r.endswith(labels[line]) for r in refused):
                continue
            if contract.symbol not in quoted:
                calls = forms_of(line, contract.symbol)
                forms[contract.symbol] = [(line, call) for call in calls]
    return forms


def _main_unquoted(books: Books, coins: Iterable[str]) -> Forms:
    """The main perpetuals of these coins that have no quote yet, each with those next in order."""
    quoted = {symbol for book in books for symbol in quotes_of(book)}
    forms: Forms = {}
    for coin in coins:
        places = _wanted(books, coin)
        if places and places[0][1].symbol not in quoted:
            forms[places[0][1].symbol] = [
                (line, call)
                for line, contract in places
                if contract.symbol not in quoted
                for call in forms_of(line, contract.symbol)
            ]
    return forms


async def _with_singles(ask: Ask, books: Books, forms: Forms, *, every: bool) -> Books:
    """The books with quotes that were asked one by one; `every` one, or a few."""
    some = dict(list(forms.items())[: None if every else FEW])
    singles = await ask_singly(ask, {s: [call for _, call in calls] for s, calls in some.items()})
    for symbol, failure in singles.unheard.items():
        ask.short(f"{failure.reason} ({symbol})")
    lines = {symbol: calls[0][0] for symbol, calls in some.items()}
    return tuple(
        replace(
            book,
            quoted=(
                *book.quoted,
                *(wire for symbol, wire in singles.found.items() if lines[symbol] is book.line),
            ),
        )
        for book in books
    )


async def _with_near_marks(
    ask: Ask, books: Books, places: Iterable[Place], held: Mapping[str, Wire]
) -> Books:
    """The books with single quotes in place of those that are of another time.

    Answers of one question are, but recordings of a bulk answer and of single ones may lie years
    apart.
    """
    marks = read_marks(books)
    forms: Forms = {}
    for line, contract in places:
        wire = held[contract.symbol]
        mark = nearest(marks, contract.symbol, wire)
        if wire and mark and contract.margin == "linear" and is_apart(mark, wire):
            forms[contract.symbol] = [(line, call) for call in forms_of(line, contract.symbol)]
    told = len(ask.shortfalls)
    books = await _with_singles(ask, books, forms, every=True)
    # The mark of another time stands, and is said to be one.
    del ask.shortfalls[told:]
    return books


def _with_periods(books: Books, periods: Sequence[Wire]) -> Books:
    return tuple(replace(book, periods=wire) for book, wire in zip(books, periods, strict=True))


def _books(
    ask: Ask,
    lines: tuple[Line, ...],
    listed: Sequence[Wire],
    quoted: Mapping[Line, tuple[Wire, ...]],
) -> Books:
    """What was read, line by line; a list or a secondary line that is not readable is left out."""
    books = []
    for line, wire in zip(lines, listed, strict=True):
        quotes = tuple(filter(None, quoted.get(line, ())))
        if line is not lines[0]:
            quotes = tuple(
                q
                for q in quotes
                if _is_readable(ask, q, f"{line.prefix}premiumIndex", parse_quotes)
            )
        names = f"{line.prefix}exchangeInfo"
        usable = wire and _is_readable(ask, wire, names, parse_contracts, line)
        books.append(Book(line, wire if usable else NOTHING, quotes))
    return tuple(books)


def _is_readable(
    ask: Ask, wire: Wire, label: str, parse: Callable[..., object], *more: object
) -> bool:
    """Whether an answer is in the documented shape; says so when it is not."""
    try:
        wire.parsed(parse, *more)
    except VenueChanged as error:
        ask.short(f"{error.reason} ({label})")
        return False
    return True


def _note_gaps(
    ask: Ask,
    shelf: Shelf,
    rows: Mapping[str, object],
    silent: Mapping[str, Sequence[str]],
    what: str,
) -> None:
    """Say which perpetuals gave nothing, by name while they are few, and what is not known."""
    ask.unread(shelf.bad)
    coins = ask.wants(silent)
    symbols = [symbol for coin in coins for symbol in silent[coin]]
    named = ", ".join(symbols) if len(symbols) <= NAMED else f"{len(symbols)} listed perpetuals"
    for coin in coins:
        ask.short(f"missing: no {what} of {named}", coin=coin)
    for reason in shelf.odd:
        ask.short(reason)
    if shelf.whole:
        return
    for coin in ask.coins or ():
        if coin not in rows and coin not in silent:
            # Without every list nobody knows whether the venue has it.
            ask.short(f"missing: no {what} of {coin} without the list of contracts", coin=coin)
