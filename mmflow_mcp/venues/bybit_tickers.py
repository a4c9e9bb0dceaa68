"""Rows out of Bybit's tickers and lists of contracts. Pure: the same answers give the same rows.

https://bybit-exchange.github.io/docs/v5/market/tickers

Open interest is published both ways: `openInterest` counts longs and shorts, `singleOpenInterest`
(since 2026-06) each contract once. On inverse contracts quantity and value swap roles.
"""

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.upstream.wire import NOTHING, Wire
from mmflow_mcp.venues.coins import canonical
from mmflow_mcp.venues.contracts import (
    Contract,
    OpenPart,
    funding_row,
    main_perpetuals,
    sum_open_interest,
)
from mmflow_mcp.venues.fields import (
    amount,
    each,
    member,
    ms,
    number,
    number_or_none,
    positive,
    positive_or_none,
    rate,
)
from mmflow_mcp.venues.namesakes import is_surely_coin

Row = dict[str, Any]
Silent = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Book:
    """What was read of one category: its tickers, and the pages of its list of contracts.

    `pages` is empty when the list could not be had.
    """

    category: str
    tickers: tuple[Wire, ...]
    pages: tuple[Wire, ...]


Books = tuple[Book, ...]
Ticker = tuple[Contract, Row, Wire]


def carrier_of(books: Books) -> Wire:
    """The answer beside which what is read of these books is kept."""
    wires = (wire for book in books for wire in (*book.tickers, *book.pages))
    return next(wires, None) or Wire(None, fetched_at=0, read=0.0, size=0)


def list_of(wire: Wire) -> list[Any]:
    """The rows of an answer. Raises `VenueChanged` when there are none to find."""
    rows: list[Any] = member(wire.doc, "result", "list")
    return rows


# These have been listed since 2020: an answer without them has lost them.
USUAL = {
    "linear": {"BTCUSDT": "BTC", "ETHUSDT": "ETH"},
    "inverse": {"BTCUSD": "BTC", "ETHUSD": "ETH"},
}


def parse_contracts(first: Wire, more: tuple[Wire, ...]) -> tuple[dict[str, Contract], int]:
    """Live crypto perpetuals by symbol, and the rows that could not be read.

    Stocks, metals and currencies share the category; `symbolType` tells them.
    """

    def read(row: Row) -> Contract | None:
        if row["contractType"].endswith("Futures") or row["status"] != "Trading":
            return None
        if not _is_coin(row) or row.get("isPreListing"):
            return None
        coin, multiplier = canonical(_base_of(row))
        # The category is what we asked for; a type that contradicts it cannot be read.
        margin = row["contractType"].removesuffix("Perpetual").lower()
        if margin != category:
            msg = "not of this category"
            raise ValueError(msg)
        return Contract(row["symbol"], coin, multiplier, row["quoteCoin"], margin)

    contracts: dict[str, Contract] = {}
    bad = 0
    for page in (first, *more):
        category = member(page.doc, "result").get("category", "linear")
        found, unread = each(list_of(page), read)
        contracts.update({contract.symbol: contract for contract in found})
        bad += unread
    return contracts, bad


def _is_coin(row: Row) -> bool:
    return row.get("symbolType") in (None, "", "innovation")


def _base_of(row: Row) -> str:
    base = row["baseCoin"]
    if not isinstance(base, str) or not base:
        msg = "no base coin"
        raise ValueError(msg)
    return base


_SYMBOL = {
    "linear": re.compile(r"^([A-Z0-9]+?)(USDT|PERP)$"),
    "inverse": re.compile(r"^([A-Z0-9]+?)(USD)$"),
}


def guess_contract(symbol: str, category: str) -> Contract | None:
    """A contract from its symbol alone, for what is surely a coin: while the list is missing."""
    parts = _SYMBOL[category].match(symbol)
    if not parts:
        return None
    coin, multiplier = canonical(parts[1])
    quote = "USDC" if parts[2] == "PERP" else parts[2]
    return Contract(symbol, coin, multiplier, quote, category) if is_surely_coin(coin) else None


def shape_fits(symbol: str, category: str) -> bool:
    """Whether a symbol is one of this category."""
    return bool(_SYMBOL[category].match(symbol))


# Perpetuals that stand for a thousand coins; behind the name where it is so spelled.
_THOUSANDS = dict.fromkeys("PEPE BONK FLOKI LUNC XEC RATS".split(), "1000{}") | {  # noqa: SIM905
    "SHIB": "SHIB1000",
    "SATS": "10000SATS",
}


def usual_of(coin: str, book: Book) -> Contract | None:
    """The usual contract of a coin from its symbol alone, where no list names it otherwise."""
    quote = "USDT" if book.category == "linear" else "USD"
    base = _THOUSANDS.get(coin, "{}").format(coin) if quote == "USDT" else coin
    symbol = f"{base}{quote}"
    named = {name for page in book.pages for name in symbols_of(page)}
    return None if symbol in named else guess_contract(symbol, book.category)


def symbols_of(wire: Wire) -> frozenset[str]:
    """Everything that an answer names."""
    return frozenset(str(row.get("symbol")) for row in list_of(wire) if isinstance(row, dict))


def is_whole(book: Book) -> bool:
    """Whether the list of contracts could be had and is no excerpt; an empty one lists nothing."""
    named = {name for page in book.pages for name in symbols_of(page)}
    return bool(book.pages) and (not named or named >= USUAL[book.category].keys())


def contracts_of(book: Book) -> dict[str, Contract] | None:
    """The contracts listed, None while that is not known."""
    if not book.pages:
        return None
    return book.pages[0].parsed(parse_contracts, book.pages[1:])[0]


def live_tickers(book: Book) -> tuple[list[Ticker], int]:
    """Each live perpetual's ticker once, with the answer it came in, and the bad rows."""
    contracts = contracts_of(book)
    named = {name for page in book.pages for name in symbols_of(page)}
    found: dict[str, Ticker] = {}
    bad = book.pages[0].parsed(parse_contracts, book.pages[1:])[1] if book.pages else 0
    for wire in book.tickers:

        def read(row: Row) -> tuple[Contract, Row] | None:
            symbol = row["symbol"]
            # What the list does not name (yet) is read where the symbol can only mean a coin.
            known = contracts.get(symbol) if contracts else None
            contract = known or (None if symbol in named else guess_contract(symbol, book.category))
            # A pre-market phase has no real funding and no open interest.
            if contract is None or row.get("curPreListingPhase"):
                return None
            return contract, row

        pairs, unread = each(list_of(wire), read)
        bad += unread
        found.update({contract.symbol: (contract, row, wire) for contract, row in pairs})
    return list(found.values()), bad


def parse_open_interest(_: Wire, books: Books) -> tuple[dict[str, OpenInterestRow], Silent, int]:
    """Rows by coin, the listed symbols without a readable ticker by coin, and the bad rows."""
    parts: dict[str, list[OpenPart]] = {}
    read_at: dict[str, int] = {}
    silent: Silent = {}
    bad = 0
    for book in books:
        tickers, unread = live_tickers(book)
        found, missed = each(tickers, _read_part, tolerate=_tolerance(book))
        bad += unread + missed
        for part, at in found:
            parts.setdefault(part.coin, []).append(part)
            read_at[part.coin] = min(at, read_at.get(part.coin, at))
        have = {part.symbol for part, _ in found}
        listed = contracts_of(book) or {ticker[0].symbol: ticker[0] for ticker in tickers}
        for contract in listed.values():
            if contract.symbol not in have:
                silent.setdefault(contract.coin, []).append(contract.symbol)
        for symbol, coin in USUAL[book.category].items():
            if symbol not in have and symbol not in listed:
                silent.setdefault(coin, []).append(symbol)
    rows: dict[str, OpenInterestRow] = {}
    for coin in sorted(parts):
        rows |= sum_open_interest("bybit", parts[coin], read_at[coin], missing=silent)
    return rows, silent, bad


def _tolerance(book: Book) -> float:
    """There are few inverse contracts: bad rows among them say nothing of the linear ones."""
    return 0.5 if book.category == "linear" else 1


def _read_part(ticker: Ticker) -> tuple[OpenPart, int]:
    contract, row, wire = ticker
    return open_part(contract, row), wire.fetched_at


def open_part(contract: Contract, row: Row) -> OpenPart:
    """One contract's open interest, one-sided.

    The one-sided pair is taken where it exists, else the two-sided one is halved. `value` is USD
    on linear and coins on inverse contracts; the quantity the other way round.
    """
    quantity = number_or_none(row.get("singleOpenInterest"))
    value = number_or_none(row.get("singleOpenInterestValue"))
    if quantity is None or value is None:
        quantity = number(row["openInterest"]) / 2
        value = number(row["openInterestValue"]) / 2
    if contract.margin == "inverse":
        quantity, value = value, quantity
    return OpenPart(
        contract.coin,
        contract.symbol,
        usd=amount(value),
        coins=amount(quantity) * contract.multiplier,
    )


def parse_funding(_: Wire, books: Books) -> tuple[dict[str, FundingRow], Silent, int]:
    """Rows by coin, the listed symbols of coins without any, and the bad rows.

    `fundingRate` is charged at `nextFundingTime`; the period is the symbol's own, in hours.
    """
    made: list[tuple[Contract, FundingRow]] = []
    listed: dict[str, Contract] = {}
    bad = 0
    for book in books:
        tickers, unread = live_tickers(book)
        read = partial(read_funding, listed_minutes(book.pages))
        found, missed = each(tickers, read, tolerate=_tolerance(book))
        made += found
        bad += unread + missed
        listed |= contracts_of(book) or {ticker[0].symbol: ticker[0] for ticker in tickers}
    rows = main_perpetuals(made)
    silent: Silent = {}
    linear = [book for book in books if book.category == "linear"]
    for symbol, coin in USUAL["linear"].items() if linear else ():
        if coin in rows and rows[coin].symbol != symbol:
            silent[coin] = [symbol]
            if any(book.tickers for book in linear):
                # Another contract must not speak for a coin whose main one was lost.
                del rows[coin]
    for contract in listed.values():
        if contract.coin not in rows:
            silent.setdefault(contract.coin, []).append(contract.symbol)
    return rows, silent, bad


def read_funding(minutes: dict[str, Any], ticker: Ticker) -> tuple[Contract, FundingRow] | None:
    """One perpetual's funding; `minutes` by symbol are for tickers that lack the hours.

    None where no one tells the period and the next settlement fits more than one.
    """
    contract, row, wire = ticker
    hours = positive_or_none(row.get("fundingIntervalHour"))
    if hours is None and contract.symbol in minutes:
        hours = positive(minutes[contract.symbol]) / 60
    hours = hours or _only_hours(contract, row, wire)
    if hours is None:
        return None
    made = funding_row(
        "bybit",
        contract,
        rate(row["fundingRate"]),
        hours,
        wire.fetched_at,
        mark=positive_or_none(row.get("markPrice")),
        next_ms=ms(row.get("nextFundingTime")),
    )
    return contract, made


def _only_hours(contract: Contract, row: Row, wire: Wire) -> float | None:
    """8, where the next settlement is more than 4 hours away: no period is longer.

    The oldest contracts have been settled every 8 hours ever since.
    """
    next_ms = ms(row.get("nextFundingTime"))
    left = None if next_ms is None else next_ms - wire.fetched_at
    least = 0 if contract.symbol in USUAL[contract.margin] else 4 * HOUR_MS
    return 8.0 if left is not None and least < left <= 8 * HOUR_MS else None


def listed_minutes(pages: tuple[Wire, ...]) -> dict[str, Any]:
    """`fundingInterval` of the list of contracts, in minutes."""
    return {
        row["symbol"]: row.get("fundingInterval")
        for page in pages
        for row in list_of(page)
        if isinstance(row, dict) and "symbol" in row and row.get("fundingInterval")
    }


def next_cursor(page: Wire) -> str:
    """The cursor of the page that follows; "" after the last."""
    cursor = member(page.doc, "result").get("nextPageCursor") if page is not NOTHING else ""
    return cursor if isinstance(cursor, str) else ""


def parse_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """One page of the list of contracts, and the rows that could not be read."""

    def read(row: Row) -> MarketRow | None:
        if row["status"] != "Trading":
            return None
        coin = canonical(_base_of(row))[0] if _is_coin(row) else None
        kind = "perp" if row["contractType"].endswith("Perpetual") else "future"
        label = f"{row['symbol']} {row['contractType']} ({row['settleCoin']})"
        return MarketRow("bybit", row["symbol"], coin, kind, label)

    return each(list_of(wire), read)
