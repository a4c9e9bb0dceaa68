"""What OKX's lists and snapshots of swaps mean: pure functions over its answers.

https://www.okx.com/docs-v5/en/#public-data

Everything is text. Sizes are contracts of ctVal x ctMult coins (linear) or USD (inverse); `oiCcy`
is coins and `oiUsd` (in newer answers) USD.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.coins import canonical
from mmflow_mcp.venues.contracts import (
    USDT_FIRST,
    Contract,
    OpenPart,
    funding_row,
    main_perpetuals,
    sum_open_interest,
)
from mmflow_mcp.venues.fields import amount, each, member, ms, positive, positive_or_none, rate
from mmflow_mcp.venues.namesakes import is_surely_coin


class Swap(NamedTuple):
    """A swap with its row, and the answer that the row came in."""

    contract: Contract
    row: dict[str, Any]
    wire: Wire


def _data(wire: Wire) -> list[Any]:
    if member(wire.doc, "code") != "0":
        raise VenueChanged("changed: the answer carries an error code")
    rows: list[Any] = member(wire.doc, "data")
    return rows


# Dated futures, and odd families such as ETH-USD_UM-SWAP or XAU-USD_UM_XPERP-310502, do not fit.
_SWAP = re.compile(r"^([A-Z0-9]+)-(USDT|USDC|USD)-SWAP$")


def parse_contracts(listed: Wire) -> tuple[dict[str, Contract], int]:
    """Live crypto swaps by symbol, and the rows that could not be read.

    `instCategory` "1" is crypto and is absent from older answers; `category` is the fee group.
    """

    def read(row: dict[str, Any]) -> Contract | None:
        symbol = row["instId"]
        if not _SWAP.match(symbol) or row["state"] != "live" or not _is_coin(row):
            return None
        linear = {"linear": True, "inverse": False}[row["ctType"]]
        coin, multiplier = canonical(_base(row))
        value, times = positive_or_none(row.get("ctVal")), positive_or_none(row.get("ctMult"))
        size = value * times if value and times else _UNKNOWN_SIZE
        if linear:
            return Contract(symbol, coin, multiplier, row["settleCcy"], "linear", size)
        return Contract(symbol, coin, multiplier, "USD", "inverse", size)

    found, bad = each(_data(listed), read)
    return {c.symbol: c for c in found}, bad


# `positive` refuses it, so that nothing is computed with it.
_UNKNOWN_SIZE = 0.0


def _is_coin(row: dict[str, Any]) -> bool:
    return row.get("instCategory") in (None, "", "1")


def _base(row: dict[str, Any]) -> str:
    """The base asset: ctValCcy of a linear contract, what an inverse one is settled in."""
    kind = row.get("ctType") or "spot"
    base = row[{"linear": "ctValCcy", "inverse": "settleCcy", "spot": "baseCcy"}[kind]]
    if not isinstance(base, str) or not base:
        msg = "no base asset"
        raise ValueError(msg)
    return base


def guess_contract(symbol: str) -> Contract | None:
    """A contract from its symbol alone, for sure coins only: while the list cannot be had."""
    parts = _SWAP.match(symbol)
    if not parts:
        return None
    coin, multiplier = canonical(parts[1])
    if not is_surely_coin(coin):
        return None
    if parts[2] == "USD":
        # Documented: 100 USD for BTC, 10 USD for every other coin.
        size = 100.0 if coin == "BTC" else 10.0
        return Contract(symbol, coin, multiplier, "USD", "inverse", size)
    return Contract(symbol, coin, multiplier, parts[2], "linear", _UNKNOWN_SIZE)


# These have been listed since 2021: an answer without them lacks them.
_ALWAYS = {f"{coin}-{quote}-SWAP": coin for coin in ("BTC", "ETH") for quote in ("USDT", "USD")}


def lost_of(listed: Wire) -> list[str]:
    """What a list of swaps must name and does not: it is an excerpt. An empty one lists nothing."""
    names = listed.parsed(read_names) if listed else frozenset()
    return [symbol for symbol in _ALWAYS if symbol not in names] if names else []


def swaps_of(listed: Wire, coin: str) -> list[str]:
    """The swaps of a coin, the main one first; the usual ones of a sure coin that no list names."""
    contracts = listed.parsed(parse_contracts)[0] if listed else {}
    names = listed.parsed(read_names) if listed else frozenset()
    same = [contract for contract in contracts.values() if contract.coin == coin]
    if not listed or lost_of(listed):
        usual = (f"{coin}-{quote}-SWAP" for quote in ("USDT", "USD"))
        same += filter(None, (guess_contract(s) for s in usual if s not in names))
    same.sort(key=lambda c: ((*USDT_FIRST, c.rank_key).index(c.rank_key), c.symbol))
    return [contract.symbol for contract in same]


def read_names(wire: Wire) -> frozenset[str]:
    """The names of an answer's instruments, whatever their state."""
    return frozenset(row["instId"] for row in _data(wire) if isinstance(row, dict))


def live_swaps(wires: tuple[Wire, ...], listed: Wire) -> tuple[dict[str, str], list[Swap], int]:
    """The coin of each swap there should be, the rows of those there are, and the bad rows.

    A swap that the list does not name (yet) may be a coin's or a stock's: it is expected, and read
    where its symbol can only mean a coin. While the list cannot be had, only such are known.
    """
    contracts, bad = listed.parsed(parse_contracts) if listed else ({}, 0)
    names = listed.parsed(read_names) if listed else frozenset()
    expected = {symbol: coin for symbol, coin in _ALWAYS.items() if symbol not in names}
    expected |= {contract.symbol: contract.coin for contract in contracts.values()}
    found: dict[str, Swap] = {}

    def read(row: dict[str, Any]) -> tuple[Contract, dict[str, Any]] | None:
        symbol = row["instId"]
        known = contracts.get(symbol)
        contract = guess_contract(symbol) if symbol not in names else known
        parts = _SWAP.match(symbol)
        if parts and (contract or (listed and symbol not in names)):
            expected[symbol] = canonical(parts[1])[0]
        return (contract, row) if contract else None

    for wire in wires:
        pairs, unread = each(_data(wire), read)
        bad += unread
        found.update({contract.symbol: Swap(contract, row, wire) for contract, row in pairs})
    return expected, list(found.values()), bad


class Price(NamedTuple):
    """USD per unit of a symbol, and when it was read."""

    usd: float
    read_at: int


def find_unpriced(
    first: Wire, more: tuple[Wire, ...], listed: Wire, marks: tuple[Wire, ...] | None
) -> dict[str, list[str]]:
    """The linear swaps, by coin, whose USD is not told and that these marks do not price."""
    _, swaps, _ = live_swaps((first, *more), listed)
    prices = read_prices(swaps, marks) if marks is not None else {}
    return _by_coin(
        {
            swap.contract.symbol: swap.contract.coin
            for swap in swaps
            if _takes_mark(swap) and swap.row.get("oi") and swap.contract.symbol not in prices
        }
    )


def _takes_mark(swap: Swap) -> bool:
    return swap.contract.margin == "linear" and not swap.row.get("oiUsd")


def read_prices(swaps: Iterable[Swap], marks: Iterable[Wire]) -> dict[str, Price]:
    """What the linear swaps without USD are priced at, by symbol.

    The mark that was read nearest to the open interest, within the hour: an older one gives a wrong
    amount. Else what the coin's inverse swap says in the same hour: its USD over its coins.
    """
    told: dict[str, list[Price]] = {}
    for wire in marks:
        for symbol, usd in wire.parsed(parse_marks).items():
            told.setdefault(symbol, []).append(Price(usd, wire.fetched_at))
    swaps = list(swaps)
    for swap in swaps:
        if implied := _implied_price(swap):
            told.setdefault(swap.contract.coin, []).append(implied)
    prices: dict[str, Price] = {}
    for swap in filter(_takes_mark, swaps):
        for name in (swap.contract.symbol, swap.contract.coin):
            near = [p for p in told.get(name, ()) if abs(p.read_at - _at(swap)) <= HOUR_MS]
            if near:
                best = min(near, key=lambda p: abs(p.read_at - _at(swap)))
                prices.setdefault(swap.contract.symbol, best)
    return prices


def _at(swap: Swap) -> int:
    return swap.wire.fetched_at


def _implied_price(swap: Swap) -> Price | None:
    """USD per coin as an inverse swap tells it; OKX names no coin by a multiple."""
    if swap.contract.margin != "inverse":
        return None
    try:
        coins = positive(swap.row.get("oiCcy"))
        return Price(positive(_sized(swap.contract, swap.row)) / coins, _at(swap))
    except (KeyError, TypeError, ValueError):
        return None


def parse_open_interest(
    first: Wire,
    more: tuple[Wire, ...],
    listed: Wire,
    marks: tuple[Wire, ...] = (),
    unheard: tuple[tuple[str, str], ...] = (),
) -> tuple[dict[str, OpenInterestRow], dict[str, list[str]], int]:
    """Rows by coin, the listed symbols without a readable number by coin, and the bad rows.

    `unheard`: swaps with their coins that were asked for in vain, listed or not.
    """
    expected, swaps, bad = live_swaps((first, *more), listed)
    expected |= dict(unheard)
    prices = read_prices(swaps, marks)
    read_at: dict[str, int] = {}

    def read(swap: Swap) -> OpenPart | None:
        price = prices.get(swap.contract.symbol)
        part = open_part(swap.contract, swap.row, price.usd if price else None)
        if part is not None:
            at = min(_at(swap), price.read_at) if price else _at(swap)
            read_at[part.coin] = min(at, read_at.get(part.coin, at))
        return part

    parts, missed = each(swaps, read)
    have = {part.symbol for part in parts}
    silent = _by_coin({s: coin for s, coin in expected.items() if s not in have})
    rows: dict[str, OpenInterestRow] = {}
    for at in set(read_at.values()):
        same = [part for part in parts if read_at[part.coin] == at]
        rows.update(sum_open_interest("okx", same, at, missing=silent))
    return dict(sorted(rows.items())), silent, bad + missed


def open_part(contract: Contract, row: dict[str, Any], price: float | None) -> OpenPart | None:
    """One swap's open interest; None when its USD takes a price that is not known.

    `oiUsd` where the row has it, else USD contracts x size (inverse) or coins x price (linear).
    """
    usd = amount(row["oiUsd"]) if row.get("oiUsd") else None
    units = amount(row["oiCcy"]) if row.get("oiCcy") else None
    linear = contract.margin == "linear"
    if units is None and linear and (contract.size or usd is None):
        units = _sized(contract, row)
    if usd is None and linear:
        amount(row["oi"])
        usd = None if price is None or units is None else units * price
    elif usd is None:
        usd = _sized(contract, row)
    if usd is None:
        return None
    coins = None if units is None else units * contract.multiplier
    return OpenPart(contract.coin, contract.symbol, usd, coins)


def _sized(contract: Contract, row: dict[str, Any]) -> float:
    """Contracts x ctVal x ctMult: coins of a linear swap, USD of an inverse one."""
    return amount(row["oi"]) * positive(contract.size)


def parse_marks(wire: Wire) -> dict[str, float]:
    """Mark prices of the swaps by symbol; one that cannot be read is left out."""
    found, _ = each(
        _data(wire),
        lambda row: (row["instId"], positive(row["markPx"])) if row["markPx"] else None,
        tolerate=1,
    )
    return dict(found)


def parse_funding(
    first: Wire,
    more: tuple[Wire, ...],
    listed: Wire,
    unheard: tuple[tuple[str, str], ...] = (),
) -> tuple[dict[str, FundingRow], dict[str, list[str]], int]:
    """Rows by coin, the main swaps without a readable rate by coin, and the bad rows.

    `fundingRate` is charged at `fundingTime`; `nextFundingTime` is the settlement after that, and
    the time between the two is the swap's period. Answers of 2022 lack it: no period, no row.
    """

    def read(swap: Swap) -> tuple[Contract, FundingRow]:
        contract, row, wire = swap
        next_ms, after_ms = ms(row["fundingTime"]), ms(row.get("nextFundingTime"))
        if next_ms is None or after_ms is None:
            msg = "the period is not known"
            raise ValueError(msg)
        made = funding_row(
            "okx",
            contract,
            rate(row["fundingRate"]),
            (after_ms - next_ms) / HOUR_MS,
            wire.fetched_at,
            next_ms=next_ms,
        )
        return contract, made

    expected, swaps, bad = live_swaps((first, *more), listed)
    expected |= dict(unheard)
    found, missed = each(swaps, read)
    rows = main_perpetuals(found)
    silent = _by_coin(
        {
            symbol: coin
            for symbol, coin in expected.items()
            if coin not in rows or (symbol.endswith("-USDT-SWAP") and symbol != rows[coin].symbol)
        }
    )
    return rows, silent, bad + missed


def _by_coin(coins: dict[str, str]) -> dict[str, list[str]]:
    symbols: dict[str, list[str]] = {}
    for symbol, coin in coins.items():
        symbols.setdefault(coin, []).append(symbol)
    return symbols


# Types of instruments whose lists are read, with our word for each.
KINDS = {"SWAP": "perp", "FUTURES": "future", "SPOT": "spot"}


def parse_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """The live instruments of one type, and the rows that could not be read."""

    def read(row: dict[str, Any]) -> MarketRow | None:
        if row["state"] != "live":
            return None
        symbol, kind = row["instId"], KINDS[row["instType"]]
        coin = canonical(_base(row))[0] if _is_coin(row) else None
        terms = ", ".join(filter(None, (row.get("ctType"), row.get("settleCcy"))))
        return MarketRow("okx", symbol, coin, kind, f"{symbol} {terms or 'spot'}")

    return each(_data(wire), read)
