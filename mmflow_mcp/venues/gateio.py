"""Gate v4: perpetuals by settlement currency, whose list of contracts carries everything.

https://www.gate.com/docs/developers/apiv4/en/#list-all-futures-contracts

The list of a settlement currency brings open interest and funding of all its contracts at once.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote

from mmflow_mcp.errors import (
    Unrecorded,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.candles import CandleSeries, OrderBook
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.rows.positions import LiquidationTape, PositioningRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, NOTHING, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.candle_series import ask_candles
from mmflow_mcp.venues.coins import KNOWN_COINS
from mmflow_mcp.venues.contracts import Contract, main_contracts
from mmflow_mcp.venues.feeds import ClosingRule
from mmflow_mcp.venues.gateio_candles import BOOKS, CANDLES
from mmflow_mcp.venues.gateio_contracts import (
    ALWAYS,
    MAIN,
    OTHERS,
    QUOTES,
    Books,
    as_contracts,
    live_contracts,
    one_contract,
    parse_contracts,
    parse_funding,
    parse_open_interest,
    parse_pairs,
    read_names,
    settle_of,
)
from mmflow_mcp.venues.gateio_liquidations import HOST as STREAM_HOST
from mmflow_mcp.venues.gateio_liquidations import closing_rule
from mmflow_mcp.venues.gateio_past import ask_funding_history, ask_open_interest_history
from mmflow_mcp.venues.gateio_positions import ask_liquidations, ask_positioning
from mmflow_mcp.venues.gateio_spot import GATEIO_SPOT
from mmflow_mcp.venues.liquidation_feeds import require
from mmflow_mcp.venues.moments import are_apart, note_apart
from mmflow_mcp.venues.order_books import ask_books
from mmflow_mcp.venues.pairs import ask_spot
from mmflow_mcp.venues.singles import REFUSALS, ask_singly, ask_some
from mmflow_mcp.venues.traded import Traded, coins_of, perps_of

HOST = "api.gateio.ws"
API = f"https://{HOST}/api/v4"
PAGE = 100


def contracts(settle: str, offset: int = 0, *, optional: bool | None = None) -> Call:
    """All contracts of a settlement currency, or the page that begins at an offset."""
    params: dict[str, str | int] | None = {"limit": PAGE, "offset": offset} if offset else None
    if optional is None:
        optional = settle != MAIN or offset > 0
    return get(
        f"{API}/futures/{settle}/contracts",
        params,
        label=_label(settle, "contracts"),
        optional=optional,
    )


def contract(name: str) -> Call:
    """One contract, for what no list holds."""
    settle = settle_of(name)
    return get(f"{API}/futures/{settle}/contracts/{quote(name)}", label=_label(settle, "contracts"))


def tickers(settle: str, name: str = "") -> Call:
    """The tickers of a settlement currency, or of one contract: open interest and marks."""
    params: dict[str, str | int] | None = {"contract": name} if name else None
    return get(f"{API}/futures/{settle}/tickers", params, label=_label(settle, "tickers"))


def _label(settle: str, path: str) -> str:
    return path if settle == MAIN else f"{settle}/{path}"


def listing(path: str) -> Call:
    """A list that changes by the day and carries no funding or open interest."""
    return get(f"{API}/{path}", fresh=DAY, reference=True, optional=True)


def known_contract(name: str) -> Call:
    """The same as `contract`, for what does not change by the minute."""
    return listing(f"futures/{settle_of(name)}/contracts/{quote(name)}")


DELIVERIES = listing("delivery/usdt/contracts")
PAIRS = listing("spot/currency_pairs")


class Gateio(Venue):
    """Gate's perpetuals in USDT and USD1, and the inverse BTC one."""

    id = "gateio"
    name = "Gate"
    kind = "cex"
    aliases = ("gate.io", "GATEIO_FUTURES", "GATE_FUTURES")
    hosts = (HOST, STREAM_HOST)
    always = ("BTC", "ETH")
    # 200 requests in 10 s for each path.
    meters = (Meter((HOST,), 200, 10),)
    data_source = "Gate v4 public REST"
    docs = "https://www.gate.com/docs/developers/apiv4/en/"
    default_coins = ("BTC", "ETH")
    notes = (
        "oiContracts is reported as 0; the coins are in oiCoins.",
        "Liquidations by request reach back an hour, priced at the fill; live, at the order.",
        "Candles reach back 9,990 intervals.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors carry a status and a label; 429 is left to be read with its headers."""
        said = _LABEL.search(body[:400]) if status >= 400 else None
        return _refused(status, said[1].decode()) if said and status != 429 else None

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """USDT, USD1 and inverse perpetuals of each coin, summed."""
        ask.narrowed = _NARROWED
        read = await _ask_books(ask, MAIN, *OTHERS, with_tickers=True)
        rows, silent, bad = _carrier(read).parsed(parse_open_interest, read.books)
        read.refuse_without(ask, rows)
        rows = {**rows, **_lessened(rows, read.unheard)}
        ask.unread(bad)
        if are_apart(wire for _, wire in read.books):
            found, _ = live_contracts(read.books)
            note_apart(ask, rows, {item.symbol: wire.fetched_at for item, _, wire in found})
        for coin in ask.wants(silent):
            ask.short(f"missing: no open interest of {', '.join(silent[coin])}", coin=coin)
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The running rate of each coin's main perpetual."""
        ask.narrowed = _NARROWED
        read = await _ask_books(ask, *(QUOTES if ask.coins is None else (MAIN,)))
        rows, silent, bad = _carrier(read).parsed(parse_funding, read.books)
        if any(coin not in rows for coin in ask.coins or ()):
            # Only what has no contract in USDT is spoken for by another.
            others = await _ask_books(ask, *OTHERS)
            read = replace(read, books=read.books + others.books)
            rows, silent, bad = _carrier(read).parsed(parse_funding, read.books)
        read.refuse_without(ask, rows)
        ask.unread(bad)
        for coin in ask.wants(silent):
            ask.short(f"missing: no funding rate of {', '.join(silent[coin])}", coin=coin)
        return ask.pick(rows)

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """What the coin's main contract paid."""
        return await ask_funding_history(ask, await _known_books(ask, *QUOTES))

    async def open_interest_history(self, ask: Ask) -> list[OpenInterestPast]:
        """Every contract of the coin, one-sided, summed."""
        return await ask_open_interest_history(ask, await _known_books(ask, *QUOTES))

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """Spot tickers in USDT; USDC where there is no USDT pair."""
        return await ask_spot(ask, GATEIO_SPOT)

    async def positioning(self, ask: Ask) -> list[PositioningRow]:
        """Shares of users and of the top traders' positions, of contracts in USDT."""
        return await ask_positioning(ask, await _known_books(ask, MAIN))

    async def liquidations(self, ask: Ask) -> list[LiquidationTape]:
        """About the last hour of each coin's perpetuals: further back requests do not reach."""
        return await ask_liquidations(ask, await _known_books(ask, *QUOTES))

    def liquidation_feed(self) -> ClosingRule:
        """Liquidations of all contracts, a socket for each settlement currency."""
        return closing_rule(_ask_contracts)

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """Candles of each coin's main perpetual."""
        return await ask_candles(ask, await _ask_traded(ask), CANDLES)

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """Books of the same contracts."""
        return await ask_books(ask, await _ask_traded(ask), BOOKS)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every live perpetual, dated future and spot pair."""
        perps = [contracts(settle, optional=True) for settle in QUOTES]
        *lists, deliveries, pairs = await ask_some(ask, [*perps, DELIVERIES, PAIRS])
        readings: list[Callable[[], tuple[list[MarketRow], int]]] = [
            partial(wire.parsed, parse_contracts, "perp", settle)
            for settle, wire in await _follow(ask, QUOTES, lists)
        ]
        readings += [partial(deliveries.parsed, parse_contracts, "future", MAIN)] * bool(deliveries)
        readings += [partial(pairs.parsed, parse_pairs)] * bool(pairs)
        rows: list[MarketRow] = []
        for number, reading in enumerate(readings, 1):
            try:
                found, bad = reading()
            except VenueChanged as error:
                # One list that cannot be read does not take the others with it.
                if number == len(readings) and not rows:
                    raise
                ask.short(error.reason)
                continue
            ask.unread(bad)
            rows += found
        return list(dict.fromkeys(rows))


_NARROWED = "BTC and ETH; other coins are answered when they are named"
_LABEL = re.compile(rb'"label"\s*:\s*"([A-Z][A-Z_]{2,40})"')


def _refused(status: int, label: str) -> VenueError | None:
    if label in ("TOO_MANY_REQUESTS", "TOO_FAST"):
        return VenueRateLimited(status, label)
    if label in ("TOO_BUSY", "SERVER_ERROR", "INTERNAL"):
        return VenueHttp(max(status, 500), label)
    if label.startswith("INVALID_") or label.endswith("NOT_FOUND"):
        return VenueRejected(f"rejected: {label}")
    return None


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read: the books, the contracts (with their coins) not heard of, and a refusal."""

    books: Books
    unheard: dict[str, str]
    refusal: VenueError | None = None

    def refuse_without(self, ask: Ask, rows: Mapping[str, object]) -> None:
        """Raise the refusal of the main list where nothing of what was asked came otherwise."""
        if self.refusal and not ask.wants(rows):
            raise self.refusal


def _carrier(read: _Read) -> Wire:
    """The answer beside which what is read of the books is kept."""
    return read.books[0][1] if read.books else Wire(None, fetched_at=0, read=0.0, size=0)


async def _ask_books(ask: Ask, *settles: str, with_tickers: bool = False) -> _Read:
    """The contracts of these settlement currencies, every page of them.

    What the main list is refused for, lacks or cannot be read for is asked contract by contract,
    for the coins named; so is the inverse contract while its list cannot be had.
    """
    refusal: VenueError | None = None
    lists = [contracts(settle) for settle in settles]
    having = settles
    try:
        first = await ask.all(*lists)
    except REFUSALS as error:
        if ask.coins is None:
            raise
        refusal = error
        having = settles[1:]
        first = await ask.all(*lists[1:])
    books = await _follow(ask, having, first)
    try:
        live_contracts(books)
    except VenueChanged as error:
        if ask.coins is None:
            raise
        refusal = error
        ask.short(f"{error.reason} (contracts)")
        books = tuple(book for book in books if book[0] != MAIN)
    lacking = _lacking(ask, settles, books, every=refusal is not None)
    alone, failed = await _ask_alone(ask, lacking)
    if with_tickers:
        rest = [n for n, e in failed.items() if refusal or isinstance(e, Unrecorded)]
        alone += await _ask_tickers(ask, rest)
    named = {name for settle, wire in alone for name in wire.parsed(read_names, settle)}
    unheard: dict[str, str] = {}
    for name, failure in failed.items():
        if name not in named and not isinstance(failure, VenueRejected):
            unheard[name] = lacking[name]
            ask.short(f"{failure.reason} ({name})", coin=lacking[name])
    return _Read(alone + books if refusal else books + alone, unheard, refusal)


def _lacking(ask: Ask, settles: Iterable[str], books: Books, *, every: bool) -> dict[str, str]:
    """The contracts, with their coins, that the books should have and do not name.

    Unless `every` one is to be asked, that is worth a request for well-known coins only: a sum
    that lacks its largest contract looks right and is not.
    """
    wanted = ask.coins
    if wanted is None:
        others, _ = live_contracts(tuple(book for book in books if book[0] != MAIN))
        wanted = tuple(sorted({entry[0].coin for entry in others}))
    named = {name for settle, wire in books for name in wire.parsed(read_names, settle)}
    lacking: dict[str, str] = {}
    if MAIN in settles:
        lacking |= {
            f"{coin}_{QUOTES[MAIN]}": coin for coin in wanted if every or coin in KNOWN_COINS
        }
    if "BTC" in wanted and "btc" in settles and all(settle != "btc" for settle, _ in books):
        lacking |= ALWAYS
    return {name: coin for name, coin in lacking.items() if name not in named}


async def _ask_alone(
    ask: Ask, names: Iterable[str], call: Callable[[str], Call] = contract
) -> tuple[Books, dict[str, VenueError]]:
    """Contracts one by one, and why the others gave no answer."""
    singles = await ask_singly(ask, {name: (call(name),) for name in names})
    found: Books = ()
    failed = dict(singles.failed)
    for name, wire in singles.found.items():
        try:
            found += ((settle_of(name), wire.parsed(one_contract, name)),)
        except VenueChanged as error:
            failed[name] = error
    return found, failed


async def _ask_tickers(ask: Ask, names: Sequence[str]) -> Books:
    """The tickers of contracts whose own answer cannot be had: one by one, else all at once."""
    singles = await ask_singly(ask, {name: (tickers(settle_of(name), name),) for name in names})
    found = [(settle_of(name), wire.parsed(as_contracts)) for name, wire in singles.found.items()]
    for settle in dict.fromkeys(map(settle_of, singles.failed)):
        try:
            wire = await ask.get(tickers(settle))
            found.append((settle, wire.parsed(as_contracts)))
        except REFUSALS:
            continue
        except VenueError as error:
            ask.short(f"{error.reason} ({tickers(settle).label})")
    return tuple(found)


async def _known_books(ask: Ask, *settles: str) -> Books:
    """The contracts of these settlement currencies, from lists that may be a day old."""
    first = await ask.all(*(listing(f"futures/{settle}/contracts") for settle in settles))
    books = await _follow(ask, settles, first)
    lacking = _lacking(ask, settles, books, every=not first[0])
    alone, failed = await _ask_alone(ask, lacking, known_contract)
    for name, failure in failed.items():
        if not isinstance(failure, VenueRejected):
            ask.short(f"{failure.reason} ({name})", coin=lacking[name])
    return books + alone


async def _ask_contracts(ask: Ask) -> dict[str, Contract]:
    """Every live contract by its name."""
    lists = await ask.all(*(listing(f"futures/{settle}/contracts") for settle in QUOTES))
    require(ask, lists)
    books = tuple(zip(QUOTES, lists, strict=True))
    return {entry[0].symbol: entry[0] for entry in live_contracts(books)[0]}


async def _ask_traded(ask: Ask) -> list[Traded]:
    """The main perpetual of each coin; only what has none in USDT is spoken for by another."""
    books = await _known_books(ask, MAIN)
    found = main_contracts(entry[0] for entry in live_contracts(books)[0])
    if any(coin not in found for coin in coins_of(ask)):
        books += await _known_books(ask, *OTHERS)
        found = main_contracts(entry[0] for entry in live_contracts(books)[0])
    ask.unread(live_contracts(books)[1])
    for coin in coins_of(ask):
        if coin not in found and all(settle != MAIN for settle, _ in books):
            ask.short(f"missing: nothing of {coin} without the list of contracts", coin=coin)
    return perps_of(ask, found)


async def _follow(ask: Ask, settles: Iterable[str], first: Iterable[Wire]) -> Books:
    """The lists that were had, each with the pages that follow it.

    The documentation limits a list to 100 rows, although all of them come in one answer.
    """
    books: Books = ()
    for settle, start in zip(settles, first, strict=True):
        page, offset = start, 0
        while page:
            books += ((settle, page),)
            offset += PAGE
            if not isinstance(page.doc, list) or len(page.doc) != PAGE:
                break
            (following,) = await ask.all(contracts(settle, offset))
            page = NOTHING if following.doc == page.doc else following
    return books


def _lessened(
    rows: Mapping[str, OpenInterestRow], unheard: Mapping[str, str]
) -> dict[str, OpenInterestRow]:
    """The rows that are short by contracts that gave no answer, saying so."""
    less: dict[str, OpenInterestRow] = {}
    for name, coin in unheard.items():
        if coin in rows:
            row = less.get(coin, rows[coin])
            less[coin] = replace(row, not_counted=tuple(sorted({*(row.not_counted or ()), name})))
    return less
