"""Bybit v5: USDT, USDC and inverse perpetuals, in bulk by category.

https://bybit-exchange.github.io/docs/v5/intro

One answer of tickers a category carries open interest and funding; the lists of contracts, which
change by the day, tell coins from stocks.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from mmflow_mcp.errors import (
    VenueBlocked,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.candles import CandleSeries, OrderBook
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.rows.positions import PositioningRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, NOTHING, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.bybit_candles import BOOKS, CANDLES, listed_mains
from mmflow_mcp.venues.bybit_liquidations import HOST as STREAM_HOST
from mmflow_mcp.venues.bybit_liquidations import closing_rule
from mmflow_mcp.venues.bybit_past import ask_funding_history, ask_interest_history
from mmflow_mcp.venues.bybit_positions import ask_positioning
from mmflow_mcp.venues.bybit_spot import BYBIT_SPOT, PAIRS, read_spot_list
from mmflow_mcp.venues.bybit_tickers import (
    Book,
    Books,
    carrier_of,
    contracts_of,
    is_whole,
    live_tickers,
    next_cursor,
    parse_funding,
    parse_markets,
    parse_open_interest,
    shape_fits,
    symbols_of,
    usual_of,
)
from mmflow_mcp.venues.candle_series import ask_candles
from mmflow_mcp.venues.contracts import USDT_FIRST, Contract
from mmflow_mcp.venues.feeds import ClosingRule
from mmflow_mcp.venues.liquidation_feeds import require
from mmflow_mcp.venues.moments import are_apart, note_apart
from mmflow_mcp.venues.order_books import ask_books
from mmflow_mcp.venues.pairs import ask_spot
from mmflow_mcp.venues.singles import FEW as MANY
from mmflow_mcp.venues.singles import REFUSALS, ask_singly, tells_refusal
from mmflow_mcp.venues.traded import Traded, coins_of, perps_of

HOST = "api.bybit.com"
API = f"https://{HOST}/v5/market"
LINEAR, INVERSE = CATEGORIES = ("linear", "inverse")
MAX_PAGES = 20
# So many symbols are named one by one in a reason.
FEW = 6


@cache
def tickers(category: str, symbol: str = "", *, optional: bool = False) -> Call:
    """All tickers of a category, or that of one contract."""
    params: dict[str, str | int] = {"category": category}
    if symbol:
        params["symbol"] = symbol
    return get(f"{API}/tickers", params, fresh=5, optional=optional)


@cache
def instruments(category: str, cursor: str = "", *, required: bool = False) -> Call:
    """The list of contracts of a category; it changes by the day."""
    params: dict[str, str | int] = {"category": category, "limit": 1000}
    if cursor:
        params["cursor"] = cursor
    return get(f"{API}/instruments-info", params, fresh=DAY, reference=True, optional=not required)


class Bybit(Venue):
    """Bybit's perpetuals."""

    id = "bybit"
    name = "Bybit"
    kind = "cex"
    aliases = ("BYBIT_SPOT", "bybit-linear", "bybit-inverse", "bybit-options", "BybitPerp")
    hosts = (HOST, STREAM_HOST)
    # 600 requests in 5 s over all hosts.
    always = ("BTC", "ETH")
    meters = (Meter((HOST,), 600, 5),)
    data_source = "Bybit v5 public REST"
    docs = "https://bybit-exchange.github.io/docs/v5/intro"
    notes = ("Open interest from the one-sided field, or the two-sided one halved.",)

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors come with HTTP 200 and a retCode; 403 is a region or a pause of ten minutes."""
        if status == 403:
            return _forbidden(body)
        code = _RET_CODE.match(body[:60]) if status == 200 else None
        return None if code is None or not int(code[1]) else _refused(int(code[1]))

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """Linear and inverse perpetuals of each coin, summed; one request a category."""
        books, refusal = await _ask_books(ask, CATEGORIES)
        rows, silent, bad = carrier_of(books).parsed(parse_open_interest, books)
        _refuse(books, refusal)
        _note_gaps(ask, books, rows, silent, "open interest", bad)
        if are_apart(wire for book in books for wire in book.tickers):
            found = [ticker for book in books for ticker in live_tickers(book)[0]]
            note_apart(ask, rows, {item.symbol: wire.fetched_at for item, _, wire in found})
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The running rate of each coin's main perpetual; inverse only where there is no other."""
        categories = CATEGORIES if ask.coins is None else (LINEAR,)
        books, refusal = await _ask_books(ask, categories, main_only=True)
        rows, silent, bad = carrier_of(books).parsed(parse_funding, books)
        if any(coin not in rows for coin in ask.coins or ()):
            books += await _ask_inverse(ask)
            rows, silent, bad = carrier_of(books).parsed(parse_funding, books)
        _refuse(books, refusal)
        _note_gaps(ask, books, rows, silent, "funding rate with a known period", bad)
        return ask.pick(rows)

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """What the coin's main perpetual paid."""
        return await ask_funding_history(ask, await _ask_lists(ask))

    async def open_interest_history(self, ask: Ask) -> list[OpenInterestPast]:
        """Linear and inverse perpetuals of the coin, summed, one-sided."""
        return await ask_interest_history(ask, await _ask_lists(ask))

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """Spot tickers in USDT; USDC where there is no USDT pair."""
        return await ask_spot(ask, BYBIT_SPOT)

    async def positioning(self, ask: Ask) -> list[PositioningRow]:
        """Shares of holders, of contracts in USDT."""
        (first,) = await ask.all(instruments(LINEAR))
        return await ask_positioning(ask, await _all_pages(ask, LINEAR, first))

    def liquidation_feed(self) -> ClosingRule:
        """Every liquidation, linear and inverse contracts over a socket each."""
        return closing_rule(_ask_contracts)

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """Candles of each coin's main perpetual."""
        return await ask_candles(ask, await _ask_traded(ask), CANDLES)

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """Books of the same contracts."""
        return await ask_books(ask, await _ask_traded(ask), BOOKS)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every trading contract of both categories, and every spot pair."""
        rows: list[MarketRow] = []
        calls = [instruments(category) for category in CATEGORIES]
        *lists, pairs = await ask.all(*calls, PAIRS)
        for category, wire in zip(CATEGORIES, lists, strict=True):
            if not wire:
                continue
            pages = await _all_pages(ask, category, wire)
            if not pages:
                ask.short(f"missing: the rest of the list of {category} contracts")
            for page in pages or (wire,):
                found, bad = page.parsed(parse_markets)
                ask.unread(bad)
                rows += found
        return rows + (read_spot_list(ask, pairs) if pairs else [])


async def _ask_books(
    ask: Ask, categories: Sequence[str], *, main_only: bool = False
) -> tuple[Books, VenueError | None]:
    """Tickers and lists of some categories, and why the first one's tickers were refused.

    What the tickers of the coins asked for lack is asked one by one, or only the contract that
    speaks for its coin.
    """
    main, *others = categories
    lists = [instruments(category) for category in categories]
    rest = [tickers(category, optional=True) for category in others]
    told = len(ask.shortfalls)
    refusal: VenueError | None = None
    try:
        wires = await ask.all(tickers(main), *rest, *lists)
    except REFUSALS as error:
        if ask.coins is None:
            raise
        refusal = error
        wires = [NOTHING, *await ask.all(*rest, *lists)]
    refused = any(tells_refusal(r) for r in ask.shortfalls[told:] if r.endswith("(tickers)"))
    books: Books = ()
    forms: dict[str, tuple[Call, ...]] = {}
    for i, category in enumerate(categories):
        pages = await _all_pages(ask, category, wires[len(categories) + i])
        book = Book(category, tuple(filter(None, wires[i : i + 1])), pages)
        books += (book,)
        if book.tickers or (refusal if category == main else refused):
            forms |= _lacking(ask, book, main_only=main_only)
    if not refusal and not refused:
        forms = dict(list(forms.items())[:MANY])
    singles = await ask_singly(ask, forms)
    for symbol, failure in singles.unheard.items():
        ask.short(f"{failure.reason} ({symbol})")
    found = {
        book.category: tuple(w for s, w in singles.found.items() if shape_fits(s, book.category))
        for book in books
    }
    return tuple(replace(b, tickers=(*b.tickers, *found[b.category])) for b in books), refusal


def _lacking(ask: Ask, book: Book, *, main_only: bool) -> dict[str, tuple[Call, ...]]:
    """Requests for the contracts of the coins asked for that the tickers do not hold.

    With `main_only` those of the main contract, where it is refused of the next in order.
    """
    named = {symbol for wire in book.tickers for symbol in symbols_of(wire)}
    forms: dict[str, tuple[Call, ...]] = {}
    for coin in ask.coins or ():
        mine = [c for c in (contracts_of(book) or {}).values() if c.coin == coin]
        usual = None if is_whole(book) else usual_of(coin, book)
        mine += [usual] if usual else []
        mine.sort(key=lambda c: ((*USDT_FIRST, c.rank_key).index(c.rank_key), c.symbol))
        calls = {c.symbol: tickers(book.category, c.symbol) for c in mine if c.symbol not in named}
        if not main_only:
            forms |= {symbol: (call,) for symbol, call in calls.items()}
        elif mine and mine[0].symbol in calls:
            forms[mine[0].symbol] = tuple(calls.values())
    return forms


def _refuse(books: Books, refusal: VenueError | None) -> None:
    """Raise the refusal of the tickers where none came in their place, unless none was wanted."""
    unknown = not all(map(is_whole, books))
    wanted = any(contracts_of(book) for book in books)
    if refusal and not any(book.tickers for book in books) and (unknown or wanted):
        raise refusal


async def _ask_inverse(ask: Ask) -> Books:
    """The inverse contracts, for coins that have no linear one; their failure is only noted."""
    try:
        books, refusal = await _ask_books(ask, (INVERSE,), main_only=True)
    except VenueError as error:
        books, refusal = (Book(INVERSE, (), ()),), error
    if refusal and not books[0].tickers:
        ask.short(f"{refusal.reason} (tickers, inverse)")
    return books


async def _ask_lists(ask: Ask) -> Books:
    """The lists of contracts alone, of both categories."""
    firsts = await ask.all(*map(instruments, CATEGORIES))
    return tuple(
        [
            Book(category, (), await _all_pages(ask, category, first))
            for category, first in zip(CATEGORIES, firsts, strict=True)
        ]
    )


async def _ask_contracts(ask: Ask) -> dict[str, Contract]:
    """Every live contract by its symbol."""
    books = await _ask_lists(ask)
    found: dict[str, Contract] = {}
    for book in books:
        require(ask, book.pages)
        found |= contracts_of(book) or {}
    return found


async def _all_pages(ask: Ask, category: str, first: Wire) -> tuple[Wire, ...]:
    """The list of contracts with every page that follows; () when not all of it could be had.

    Half a list would make contracts of its other half look unlisted.
    """
    pages: list[Wire] = []
    page = first
    while page and page not in pages and len(pages) < MAX_PAGES:
        pages.append(page)
        cursor = next_cursor(page)
        if not cursor:
            return tuple(pages)
        (page,) = await ask.all(instruments(category, cursor))
    return ()


async def _ask_traded(ask: Ask) -> list[Traded]:
    """The main perpetual of each coin; inverse only where there is no other."""
    lists: Books = ()
    found: dict[str, Contract] = {}
    bad = 0
    for category in CATEGORIES:
        if all(coin in found for coin in coins_of(ask)):
            break
        (first,) = await ask.all(instruments(category))
        lists += (Book(category, (), await _all_pages(ask, category, first)),)
        found, bad = listed_mains(lists, coins_of(ask))
    ask.unread(bad)
    for coin in coins_of(ask):
        if coin not in found and not all(map(is_whole, lists)):
            ask.short(f"missing: nothing of {coin} without the list of contracts", coin=coin)
    return perps_of(ask, found)


def _note_gaps(
    ask: Ask,
    books: Books,
    rows: Mapping[str, object],
    silent: Mapping[str, Sequence[str]],
    what: str,
    bad: int,
) -> None:
    """Say which contracts gave nothing, by name while they are few, and what is not known."""
    ask.unread(bad)
    coins = ask.wants(silent)
    symbols = [symbol for coin in coins for symbol in silent[coin]]
    named = ", ".join(symbols) if len(symbols) <= FEW else f"{len(symbols)} listed contracts"
    for coin in coins:
        ask.short(f"missing: no {what} of {named}", coin=coin)
    if all(map(is_whole, books)):
        return
    for book in books:
        if book.pages and not is_whole(book):
            ask.short(f"missing: the list of {book.category} contracts is an excerpt")
    for coin in ask.coins or ():
        if coin not in rows and coin not in silent:
            # Without every list nobody knows whether the venue has it.
            ask.short(f"missing: no {what} of {coin} without the list of contracts", coin=coin)


_RET_CODE = re.compile(rb'\s*\{\s*"retCode"\s*:\s*(-?\d+)')


def _forbidden(body: bytes) -> VenueError | None:
    if b"too frequent" in body:
        return VenueRateLimited(403, "access too frequent", retry_after=600)
    if b"from your country" in body:
        return VenueBlocked("geo: http 403, the venue does not serve this location")
    return None


def _refused(code: int) -> VenueError:
    if code in (10009, 10024):
        return VenueBlocked(f"geo: retCode {code}, the venue does not serve this region")
    if code in (10006, 10018):
        return VenueRateLimited(200, f"retCode {code}, too many visits")
    if code in (10000, 10016):
        return VenueHttp(500, f"retCode {code}, the venue had an error of its own")
    return VenueRejected(f"rejected: retCode {code}")
