"""Kraken's perpetuals, which trade on a host of their own: every ticker in one answer.

https://docs.kraken.com/api/docs/futures-api/trading/get-tickers

PF contracts are linear, of one coin each; PI contracts are inverse, of one dollar each. A funding
rate is money per contract and hour, not a fraction: a fraction is made of it with the index.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import (
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.upstream.wire import DAY, HOUR, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import (
    Contract,
    OpenPart,
    funding_row,
    main_perpetuals,
    sum_open_interest,
)
from mmflow_mcp.venues.fields import amount, each, member, number, positive, rate
from mmflow_mcp.venues.kraken_past import (
    Known,
    ask_funding_history,
    ask_open_interest_history,
)
from mmflow_mcp.venues.namesakes import is_surely_coin
from mmflow_mcp.venues.pairs import pair_of

FUTURES_HOST = "futures.kraken.com"
API = f"https://{FUTURES_HOST}/derivatives/api/v3"
TICKERS = get(f"{API}/tickers", fresh=5, label="futures/tickers")
INSTRUMENTS = get(
    f"{API}/instruments", fresh=DAY, label="futures/instruments", reference=True, optional=True
)

_MARGINS = {"PF_": "linear", "PI_": "inverse"}
_RENAMED = {"XDG": "DOGE", "LUNA": "LUNC"}
_METALS = frozenset({"XAU", "XAG", "XPT", "XPD", "WTI", "BRENT", "NATGAS"})
# Tokenised stocks: AAPLx, TSLAx.
_STOCK = re.compile(r"^[A-Z0-9.]+x$")

Row = dict[str, Any]
Live = tuple[Contract, Row]


async def ask_open_interest(ask: Ask) -> list[OpenInterestRow]:
    """Linear and inverse perpetuals of each coin, summed."""
    wire, listed = await ask.all(TICKERS, INSTRUMENTS)
    rows, silent, bad = wire.parsed(parse_open_interest, listed)
    _note_gaps(ask, silent, bad, "open interest")
    return ask.pick(rows)


async def ask_funding(ask: Ask) -> list[FundingRow]:
    """The rate of the running hour of each coin's main perpetual."""
    wire, listed = await ask.all(TICKERS, INSTRUMENTS)
    rows, silent, bad = wire.parsed(parse_funding, listed)
    _note_gaps(ask, silent, bad, "funding rate")
    return ask.pick(rows)


async def ask_funding_past(ask: Ask) -> list[FundingPast]:
    """What the main perpetual of a coin paid."""
    known = await _known(ask)
    live = {contract for contract, _ in _told((one, ticker) for one, _, ticker in known)}
    return await ask_funding_history(ask, [one for one in known if one[0] in live])


async def ask_interest_past(ask: Ask) -> list[OpenInterestPast]:
    """What all perpetuals of a coin held."""
    return await ask_open_interest_history(ask, await _known(ask))


async def _known(ask: Ask) -> list[Known]:
    """The contracts of coins with their rows and with tickers that may be an hour old."""
    wire, listed = await ask.all(replace(TICKERS, fresh=HOUR, reference=True), INSTRUMENTS)
    found, bad = wire.parsed(contracts, listed)
    ask.unread(bad)
    ask.universe = {contract.coin: contract for contract, _ in found}
    rows = _rows(listed, "instruments") if listed else {}
    return [(contract, rows.get(contract.symbol.upper(), {}), row) for contract, row in found]


async def ask_perpetuals(ask: Ask) -> list[MarketRow]:
    """Every perpetual that trades, stocks and money among them."""
    wire, listed = await ask.all(TICKERS, INSTRUMENTS)
    return wire.parsed(parse_perpetuals, listed)


def _note_gaps(ask: Ask, silent: dict[str, list[str]], bad: int, what: str) -> None:
    ask.unread(bad)
    for coin in ask.wants(silent):
        ask.short(f"missing: no {what} of {', '.join(silent[coin])}", coin=coin)


_ERROR = re.compile(rb'"error"\s*:\s*"([A-Za-z ]{3,60})"')


def futures_refusal(body: bytes) -> VenueError | None:
    """`{"result":"error","error":"apiLimitExceeded"}`, with HTTP 200 as well."""
    head = body[:300]
    said = _ERROR.search(head) if b'"result":"error"' in head.replace(b" ", b"") else None
    if said is None:
        return None
    code = said[1].decode()
    if code == "apiLimitExceeded":
        return VenueRateLimited(200, code)
    if code.lower().replace(" ", "") in ("unavailable", "servererror", "marketunavailable"):
        return VenueHttp(503, code)
    return VenueRejected(f"rejected: {code}")


def _rows(wire: Wire, name: str) -> dict[str, Row]:
    """Rows by symbol in capitals: those of 2019 are in small letters."""
    rows = member(wire.doc, name)
    if not isinstance(rows, list) or not rows:
        raise VenueChanged(f"changed: there are no {name}")
    return {str(row.get("symbol")).upper(): row for row in rows if isinstance(row, dict)}


def entries(wire: Wire, listed: Wire) -> Iterator[tuple[Row, Row]]:
    """Perpetuals as the list has them, each with its ticker, which may be empty.

    Without the list its tickers tell what a perpetual is; the first row is empty then.
    """
    tickers = _rows(wire, "tickers")
    if listed:
        for symbol, row in _rows(listed, "instruments").items():
            if symbol[:3] in _MARGINS and row.get("tradeable") is not False:
                yield row, tickers.get(symbol, {})
        return
    for symbol, row in tickers.items():
        if symbol[:3] in _MARGINS and row.get("tag") == "perpetual":
            yield {}, row


def read_contract(listing: Row, ticker: Row) -> Contract | None:
    """The contract of a coin; None for stocks, money and metals.

    Lists of 2021 have no `pair`. Without the list only what is surely a coin is one.
    """
    symbol = ticker.get("symbol") or listing["symbol"]
    base, quote = (listing.get("pair") or ticker.get("pair") or ":").split(":")
    if quote != "USD" or _STOCK.match(base) or base in _METALS:
        return None
    pair = pair_of(symbol, _RENAMED.get(base, base), quote)
    if pair is None or (not listing and not is_surely_coin(pair.coin)):
        return None
    size = positive(listing.get("contractSize", 1))
    margin = _MARGINS[symbol[:3].upper()]
    return Contract(symbol, pair.coin, pair.multiplier, "USD", margin, size)


def contracts(wire: Wire, listed: Wire) -> tuple[list[Live], int]:
    """The contracts of coins with their tickers, and the bad rows."""

    def read(entry: tuple[Row, Row]) -> Live | None:
        contract = read_contract(*entry)
        return None if contract is None else (contract, entry[1])

    return each(list(entries(wire, listed)), read)


def _told(found: Iterable[Live]) -> list[Live]:
    """Those that have a ticker and are not suspended."""
    return [(c, row) for c, row in found if row and not row.get("suspended")]


def _by_coin(found: Iterable[Contract]) -> dict[str, list[str]]:
    symbols: dict[str, list[str]] = {}
    for contract in found:
        symbols.setdefault(contract.coin, []).append(contract.symbol)
    return symbols


def parse_open_interest(
    wire: Wire, listed: Wire
) -> tuple[dict[str, OpenInterestRow], dict[str, list[str]], int]:
    """Rows by coin, the contracts that told nothing by coin, and the bad rows.

    `openInterest` counts coins of a linear contract, dollars of an inverse one.
    """

    def read(entry: Live) -> OpenPart:
        contract, row = entry
        held, mark = amount(row["openInterest"]) * contract.size, positive(row["markPrice"])
        if contract.margin == "inverse":
            return OpenPart(contract.coin, contract.symbol, held, held / mark)
        coins = held * contract.multiplier
        return OpenPart(contract.coin, contract.symbol, held * mark, coins)

    found, bad = contracts(wire, listed)
    parts, missed = each(_told(found), read)
    told = {part.symbol for part in parts}
    silent = _by_coin(c for c, _ in found if c.symbol not in told)
    rows = sum_open_interest("kraken", parts, wire.fetched_at, missing=silent)
    return rows, silent, bad + missed


def parse_funding(
    wire: Wire, listed: Wire
) -> tuple[dict[str, FundingRow], dict[str, list[str]], int]:
    """Rows by coin, the main contracts that told nothing by coin, and the bad rows.

    `fundingRate` holds for the running hour: dollars per coin (divided by the index) of a linear
    contract, coins per dollar (multiplied by it) of an inverse one.
    """
    next_hour = (wire.fetched_at // HOUR_MS + 1) * HOUR_MS

    def read(entry: Live) -> tuple[Contract, FundingRow]:
        contract, row = entry
        money, index = number(row["fundingRate"]), positive(row["indexPrice"])
        fraction = money * index if contract.margin == "inverse" else money / index
        made = funding_row(
            "kraken",
            contract,
            rate(fraction),
            1,
            wire.fetched_at,
            kind="fixed",
            mark=positive(row["markPrice"]),
            next_ms=next_hour,
        )
        return contract, made

    found, bad = contracts(wire, listed)
    made, missed = each(_told(found), read)
    rows = main_perpetuals(made)
    told = {contract.symbol for contract, _ in made}
    # An inverse contract that is silent is not missed where the linear one speaks.
    silent = _by_coin(
        c for c, _ in found if c.symbol not in told and (c.coin not in rows or c.margin == "linear")
    )
    return rows, silent, bad + missed


def parse_perpetuals(wire: Wire, listed: Wire) -> list[MarketRow]:
    """The perpetuals that trade."""
    rows = []
    for listing, ticker in entries(wire, listed):
        try:
            contract = read_contract(listing, ticker)
        except (KeyError, TypeError, ValueError):
            contract = None
        symbol = ticker.get("symbol") or listing.get("symbol") or ""
        label = f"{symbol} {_MARGINS[symbol[:3].upper()]} perpetual"
        rows.append(MarketRow("kraken", symbol, contract.coin if contract else None, "perp", label))
    return rows
