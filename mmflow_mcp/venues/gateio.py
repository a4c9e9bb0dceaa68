"""Gate v4: perpetuals by settlement currency, whose list of contracts carries everything.

https://www.gate.com/docs/developers/apiv4/en/#list-all-futures-contracts

The list of a settlement currency brings open interest and funding of all its contracts at once.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import quote

from mmflow_mcp.errors import Unrecorded, VenueError, VenueHttp, VenueRateLimited, VenueRejected
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.positions import LiquidationTape, PositioningRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, NOTHING, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.coins import KNOWN_COINS
from mmflow_mcp.venues.gateio_contracts import (
    MAIN,
    OTHERS,
    QUOTES,
    Books,
    live_contracts,
    parse_contracts,
    parse_funding,
    parse_open_interest,
    parse_pairs,
    read_names,
)
from mmflow_mcp.venues.gateio_positions import ask_liquidations, ask_positioning
from mmflow_mcp.venues.gateio_spot import GATEIO_SPOT
from mmflow_mcp.venues.pairs import ask_spot

HOST = "api.gateio.ws"
API = f"https://{HOST}/api/v4"
PAGE = 100


def contracts(settle: str, offset: int = 0) -> Call:
    """All contracts of a settlement currency, or the page that begins at an offset."""
    label = "contracts" if settle == MAIN else f"{settle}/contracts"
    params: dict[str, str | int] | None = {"limit": PAGE, "offset": offset} if offset else None
    optional = settle != MAIN or offset > 0
    return get(f"{API}/futures/{settle}/contracts", params, label=label, optional=optional)


def contract(name: str) -> Call:
    """One contract settled in USDT, for what the list does not hold."""
    return get(f"{API}/futures/{MAIN}/contracts/{quote(name)}", label="contracts")


def listing(path: str) -> Call:
    """A list that changes by the day and carries no funding or open interest."""
    return get(f"{API}/{path}", fresh=DAY, reference=True, optional=True)


def known_contract(name: str) -> Call:
    """The same as `contract`, for what does not change by the minute."""
    return listing(f"futures/{MAIN}/contracts/{quote(name)}")


DELIVERIES = listing("delivery/usdt/contracts")
PAIRS = listing("spot/currency_pairs")


class Gateio(Venue):
    """Gate's perpetuals in USDT and USD1, and the inverse BTC one."""

    id = "gateio"
    name = "Gate"
    kind = "cex"
    aliases = ("gate.io", "GATEIO_FUTURES", "GATE_FUTURES")
    hosts = (HOST,)
    # 200 requests in 10 s for each path.
    meters = (Meter((HOST,), 200, 10),)
    data_source = "Gate v4 public REST"
    docs = "https://www.gate.com/docs/developers/apiv4/en/"
    default_coins = ("BTC", "ETH")
    notes = ("oiContracts is reported as 0; the coins are in oiCoins.",)

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors carry a status and a label; 429 is left to be read with its headers."""
        said = _LABEL.search(body[:400]) if status >= 400 else None
        return _refused(status, said[1].decode()) if said and status != 429 else None

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """USDT, USD1 and inverse perpetuals of each coin, summed."""
        ask.narrowed = _NARROWED
        books, unheard = await _ask_books(ask, MAIN, *OTHERS)
        rows, silent, bad = books[0][1].parsed(parse_open_interest, books)
        rows = {**rows, **_lessened(rows, unheard)}
        ask.unread(bad)
        for coin in ask.wants(silent):
            ask.short(f"changed: no open interest for {', '.join(silent[coin])}", coin=coin)
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The running rate of each coin's main perpetual."""
        ask.narrowed = _NARROWED
        books, _ = await _ask_books(ask, *(QUOTES if ask.coins is None else (MAIN,)))
        rows, silent, bad = books[0][1].parsed(parse_funding, books)
        if any(coin not in rows for coin in ask.coins or ()):
            # Only what has no contract in USDT is spoken for by another.
            books += (await _ask_books(ask, *OTHERS))[0]
            rows, silent, bad = books[0][1].parsed(parse_funding, books)
        ask.unread(bad)
        for coin in ask.wants(silent):
            ask.short(f"changed: no funding rate for {', '.join(silent[coin])}", coin=coin)
        return ask.pick(rows)

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """Spot tickers in USDT; USDC where there is no USDT pair."""
        return await ask_spot(ask, GATEIO_SPOT)

    async def positioning(self, ask: Ask) -> list[PositioningRow]:
        """Shares of users and of the top traders' positions, of contracts in USDT."""
        return await ask_positioning(ask, await _known_books(ask, MAIN))

    async def liquidations(self, ask: Ask) -> list[LiquidationTape]:
        """About the last hour of each coin's perpetuals: further back requests do not reach."""
        return await ask_liquidations(ask, await _known_books(ask, *QUOTES))

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every live perpetual, dated future and spot pair."""
        *lists, deliveries, pairs = await ask.all(*map(contracts, QUOTES), DELIVERIES, PAIRS)
        found = [
            wire.parsed(parse_contracts, "perp", settle)
            for settle, wire in await _follow(ask, QUOTES, lists)
        ]
        found += [deliveries.parsed(parse_contracts, "future", MAIN)] if deliveries else []
        found += [pairs.parsed(parse_pairs)] if pairs else []
        ask.unread(sum(bad for _, bad in found))
        return list(dict.fromkeys(row for rows, _ in found for row in rows))


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


async def _ask_books(ask: Ask, *settles: str) -> tuple[Books, dict[str, str]]:
    """The contracts of these settlement currencies, every page of them.

    What the main list refuses or does not hold is asked contract by contract, for the coins named;
    those that gave no answer come second, by coin.
    """
    refused: VenueError | None = None
    calls = [contracts(settle) for settle in settles]
    try:
        first = await ask.all(*calls)
    except (Unrecorded, VenueRejected) as error:
        if ask.coins is None:
            raise
        refused = error
        settles = settles[1:]
        first = await ask.all(*calls[1:])
    books = await _follow(ask, settles, first)
    if not refused and MAIN not in settles:
        return books, {}
    alone, unheard = await _ask_alone(ask, books, every=refused is not None)
    if refused and not alone:
        raise refused
    return (alone + books if refused else books + alone), unheard


async def _known_books(ask: Ask, *settles: str) -> Books:
    """The contracts of these settlement currencies, from lists that may be a day old."""
    first = await ask.all(*(listing(f"futures/{settle}/contracts") for settle in settles))
    books = await _follow(ask, settles, first)
    alone, _ = await _ask_alone(ask, books, every=not first[0], call=known_contract)
    return books + alone


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


async def _ask_alone(
    ask: Ask, books: Books, *, every: bool, call: Callable[[str], Call] = contract
) -> tuple[Books, dict[str, str]]:
    """The coins asked for that no list names, contract by contract.

    Unless `every` one is to be asked, that is worth a request for well-known coins only: a sum
    that lacks its largest contract looks right and is not.
    """
    wanted = ask.coins
    if wanted is None:
        others, _ = live_contracts(tuple(book for book in books if book[0] != MAIN))
        wanted = tuple(sorted({entry[0].coin for entry in others}))
    named = {name for settle, wire in books if settle == MAIN for name in wire.parsed(read_names)}
    found: Books = ()
    unheard: dict[str, str] = {}
    for coin in wanted:
        name = f"{coin}_{QUOTES[MAIN]}"
        if name in named or not (every or coin in KNOWN_COINS):
            continue
        try:
            found += ((MAIN, await ask.get(call(name))),)
        except VenueRejected:
            continue
        except VenueError as error:
            ask.short(f"{error.reason} ({name})", coin=coin)
            unheard[coin] = name
    return found, unheard


def _lessened(
    rows: dict[str, OpenInterestRow], unheard: dict[str, str]
) -> dict[str, OpenInterestRow]:
    """The rows that are short by a contract that gave no answer, saying so."""
    return {
        coin: replace(rows[coin], not_counted=(*(rows[coin].not_counted or ()), name))
        for coin, name in unheard.items()
        if coin in rows
    }
