"""Open interest and funding of venues that speak the grammar of `fapi`: what is asked, and when.

Funding takes one round of requests. Open interest takes one while the lists of contracts are known
(marks and open interest together) and two when they are not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from mmflow_mcp.errors import Unrecorded, VenueChanged, VenueError, VenueRejected
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.fapi import (
    Line,
    day_tickers,
    exchange_info,
    funding_info,
    held_of,
    parse_contracts,
    parse_quotes,
    premium_index,
)
from mmflow_mcp.venues.fapi_rows import (
    Book,
    Books,
    Place,
    Shelf,
    carrier_of,
    parse_funding,
    parse_largest,
    parse_open_interest,
    shelve,
)

Held = dict[str, Wire]

# So many symbols are named one by one in a reason.
FEW = 6

# What tells that a bulk answer cannot be had although the venue can.
REFUSALS = (Unrecorded, VenueRejected)


async def ask_open_interest(ask: Ask, lines: tuple[Line, ...]) -> list[OpenInterestRow]:
    """All perpetuals of each coin, summed over the lines of a venue.

    Without coins: of the largest by 24 h volume on the first line.
    """
    books, tickers, held = await _first_round(ask, lines)
    books = await _with_unlisted(ask, books)
    shelf = shelve(books)
    places = _places(ask, shelf, tickers)
    rest = [place for place in places if place[1].symbol not in held]
    wires = await ask.all(*(held_of(line, contract.symbol) for line, contract in rest))
    held |= {contract.symbol: wire for (_, contract), wire in zip(rest, wires, strict=True)}
    counted = tuple((place[1], held[place[1].symbol]) for place in places)
    rows, silent = carrier_of(books).parsed(parse_open_interest, ask.venue, books, counted)
    _note_gaps(ask, shelf, rows, silent, "open interest")
    picked = ask.pick(rows)
    ask.universe = shelf.places
    return picked


async def ask_funding(ask: Ask, lines: tuple[Line, ...]) -> list[FundingRow]:
    """The running rate of each coin's main perpetual.

    The lines after the first are asked for the coins that it gives no row of.
    """
    books = await _rates(ask, lines if ask.coins is None else lines[:1])
    books = await _with_unlisted(ask, books)
    rows, silent, bad = carrier_of(books).parsed(parse_funding, ask.venue, books)
    for line in lines[len(books) :]:
        if all(coin in rows for coin in ask.coins or ()):
            break
        try:
            books += await _rates(ask, (line,), lacking=rows)
        except VenueError as error:
            ask.short(f"{error.reason} ({line.prefix}premiumIndex)")
            books += (Book(line, NOTHING, ()),)
        rows, silent, bad = carrier_of(books).parsed(parse_funding, ask.venue, books)
    ask.unread(bad)
    shelf = shelve(books)
    _note_gaps(ask, shelf, rows, silent, "funding rate with a known period")
    picked = ask.pick(rows)
    ask.universe = shelf.places
    return picked


async def _first_round(ask: Ask, lines: tuple[Line, ...]) -> tuple[Books, Wire, Held]:
    """Lists and quotes; with the lists known, the open interest as well.

    If the bulk quotes are refused, those of the coins asked for, one by one.
    """
    lists = [exchange_info(line) for line in lines]
    if ask.coins is None:
        lists.append(day_tickers(lines[0]))
    early: list[Place] = []
    known = all(ask._upstream.peek(call) for call in lists)  # noqa: SLF001 - it saves a round
    if known:
        listed, tickers = _split(await ask.all(*lists), lines)
        early = _places(ask, shelve(_books(ask, lines, listed, {})), tickers)
    asked = {line: line is lines[0] or not known or _is_in(line, early) for line in lines}
    quotes = [premium_index(line, optional=line is not lines[0]) for line in lines if asked[line]]
    counts = [held_of(line, contract.symbol) for line, contract in early]
    try:
        wires = await ask.all(*lists, *quotes, *counts)
    except REFUSALS as refusal:
        return await _one_by_one(ask, lines, refusal)
    listed, tickers = _split(wires[: len(lists)], lines)
    bulk = wires[len(lists) : len(lists) + len(quotes)]
    quoted = dict(zip((line for line in lines if asked[line]), ((w,) for w in bulk), strict=True))
    held = {
        contract.symbol: wire
        for (_, contract), wire in zip(early, wires[len(lists) + len(quotes) :], strict=True)
    }
    return _books(ask, lines, listed, quoted), tickers, held


def _split(wires: Sequence[Wire], lines: tuple[Line, ...]) -> tuple[Sequence[Wire], Wire]:
    """The lists of contracts, and the tickers where they were asked."""
    return wires[: len(lines)], wires[-1] if len(wires) > len(lines) else NOTHING


def _is_in(line: Line, places: Iterable[Place]) -> bool:
    return any(place[0] is line for place in places)


def _places(ask: Ask, shelf: Shelf, tickers: Wire) -> list[Place]:
    """The perpetuals of the coins asked for, or of the largest."""
    coins = ask.coins if ask.coins is not None else tickers.parsed(parse_largest, shelf)
    return [place for coin in coins for place in shelf.places.get(coin, ())]


async def _one_by_one(
    ask: Ask, lines: tuple[Line, ...], refusal: VenueError
) -> tuple[Books, Wire, Held]:
    """Quotes and open interest of the coins asked for, symbol by symbol."""
    if ask.coins is None:
        raise refusal
    listed = await ask.all(*map(exchange_info, lines))
    places = _singles(_books(ask, lines, listed, {}), ask.coins)
    wires = await ask.all(
        *(premium_index(line, contract.symbol, optional=True) for line, contract in places),
        *(held_of(line, contract.symbol) for line, contract in places),
    )
    books = _quoted_singly(ask, lines, listed, places, wires[: len(places)], refusal)
    held = {p[1].symbol: w for p, w in zip(places, wires[len(places) :], strict=True)}
    return books, NOTHING, held


async def _rates(
    ask: Ask, lines: tuple[Line, ...], lacking: Mapping[str, object] | None = None
) -> Books:
    """Quotes, lists and periods of some lines.

    If the first one's bulk quotes are refused: those of the main perpetual of each coin that was
    asked for and is not in `lacking`.
    """
    quotes = [premium_index(line, optional=line is not lines[0]) for line in lines]
    lists = [exchange_info(line) for line in lines]
    periods = [funding_info(line) for line in lines]
    size = len(lines)
    try:
        wires = await ask.all(*quotes, *lists, *periods)
    except REFUSALS as refusal:
        if ask.coins is None:
            raise
        wires = await ask.all(*lists, *periods)
        listed = wires[:size]
        coins = [coin for coin in ask.coins if coin not in (lacking or ())]
        places = _singles(_books(ask, lines, listed, {}), coins, every=False)
        singles = await ask.all(
            *(premium_index(line, contract.symbol, optional=True) for line, contract in places)
        )
        books = _quoted_singly(ask, lines, listed, places, singles, refusal)
        return _with_periods(books, wires[size:])
    quoted = dict(zip(lines, ((wire,) for wire in wires[:size]), strict=True))
    return _with_periods(_books(ask, lines, wires[size : 2 * size], quoted), wires[2 * size :])


async def _with_unlisted(ask: Ask, books: Books) -> Books:
    """The books with a quote of the usual perpetual of coins for which the list names only others.

    That is rare enough to be worth a request: a sum that lacks its largest contract looks right
    and is not.
    """
    main, *others = books
    shelf = shelve(books)
    named = main.listed.parsed(parse_contracts, main.line).symbols if main.listed else ()
    found: list[Wire] = []
    for coin in ask.coins or ():
        quotes = {contract.quote for _, contract in shelf.places.get(coin, ())}
        usual = main.line.guess(main.line.usual.format(coin))
        if not usual or not quotes or usual.quote in quotes or usual.symbol in named:
            continue
        try:
            found.append(await ask.get(premium_index(main.line, usual.symbol)))
        except REFUSALS:
            continue
        except VenueError as error:
            ask.short(f"{error.reason} ({usual.symbol})")
    return (replace(main, quoted=(*main.quoted, *found)), *others) if found else books


def _with_periods(books: Books, periods: Sequence[Wire]) -> Books:
    return tuple(replace(book, periods=wire) for book, wire in zip(books, periods, strict=True))


def _singles(books: Books, coins: Iterable[str], *, every: bool = True) -> list[Place]:
    """The perpetuals of some coins, or only their main ones; the usual symbol without a list."""
    places = shelve(books).places
    found: list[Place] = []
    for coin in coins:
        mine = list(places.get(coin, ()))
        if not mine and not books[0].listed:
            guess = books[0].line.guess(books[0].line.usual.format(coin))
            mine = [(books[0].line, guess)] if guess else []
        found += mine if every else mine[:1]
    return found


def _quoted_singly(
    ask: Ask,
    lines: tuple[Line, ...],
    listed: Sequence[Wire],
    places: Sequence[Place],
    wires: Sequence[Wire],
    refusal: VenueError,
) -> Books:
    """Books of quotes asked one by one. Raises the bulk's refusal when no quote could be had."""
    if not any(wires) and (places or not listed[0]):
        raise refusal
    quoted = {
        line: tuple(wire for place, wire in zip(places, wires, strict=True) if place[0] is line)
        for line in lines
    }
    return _books(ask, lines, listed, quoted)


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
    named = ", ".join(symbols) if len(symbols) <= FEW else f"{len(symbols)} listed perpetuals"
    for coin in coins:
        ask.short(f"missing: no {what} of {named}", coin=coin)
    for label in shelf.foreign:
        ask.short(f"changed: the list of contracts is not that of what is quoted ({label})")
    if shelf.whole:
        return
    for coin in ask.coins or ():
        if coin not in rows and coin not in silent:
            # Without every list nobody knows whether the venue has it.
            ask.short(f"missing: no {what} of {coin} without the list of contracts", coin=coin)
