"""What OKX's lists and snapshots of swaps mean: pure functions over its answers.

https://www.okx.com/docs-v5/en/#public-data

Everything is text. Sizes are contracts of ctVal x ctMult coins (linear) or USD (inverse); `oiCcy`
is coins and `oiUsd` (in newer answers) USD.
"""

import re
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.coins import canonical
from mmflow_mcp.venues.contracts import (
    Contract,
    OpenPart,
    funding_row,
    main_perpetuals,
    sum_open_interest,
)
from mmflow_mcp.venues.fields import amount, each, member, ms, positive, positive_or_none, rate
from mmflow_mcp.venues.namesakes import is_surely_coin


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
    margin = "inverse" if parts[2] == "USD" else "linear"
    if not is_surely_coin(coin):
        return None
    return Contract(symbol, coin, multiplier, parts[2], margin, _UNKNOWN_SIZE)


# These have been listed since 2021: an answer without them lacks them.
_ALWAYS = {f"{coin}-{quote}-SWAP": coin for coin in ("BTC", "ETH") for quote in ("USDT", "USD")}


def read_names(listed: Wire) -> frozenset[str]:
    """The names of a list, whatever the state of the instruments."""
    return frozenset(row["instId"] for row in _data(listed) if isinstance(row, dict))


def live_swaps(
    wires: tuple[Wire, ...], listed: Wire
) -> tuple[dict[str, str], list[tuple[Contract, dict[str, Any], Wire]], int]:
    """The coin of each swap there should be, the rows of those there are, and the bad rows.

    A swap that a day-old list does not name yet may be a coin's or a stock's: it is expected, and
    not read. While the list cannot be had, known coins are told by the symbol.
    """
    contracts, bad = listed.parsed(parse_contracts) if listed else ({}, 0)
    names = listed.parsed(read_names) if listed else frozenset()
    expected = {symbol: coin for symbol, coin in _ALWAYS.items() if symbol not in names}
    expected |= {contract.symbol: contract.coin for contract in contracts.values()}
    found: dict[str, tuple[Contract, dict[str, Any], Wire]] = {}

    def read(row: dict[str, Any]) -> tuple[Contract, dict[str, Any]] | None:
        symbol = row["instId"]
        contract = contracts.get(symbol) if listed else guess_contract(symbol)
        parts = _SWAP.match(symbol)
        if parts and (contract or (listed and symbol not in names)):
            expected[symbol] = canonical(parts[1])[0]
        return (contract, row) if contract else None

    for wire in wires:
        pairs, unread = each(_data(wire), read)
        bad += unread
        found.update({contract.symbol: (contract, row, wire) for contract, row in pairs})
    return expected, list(found.values()), bad


def find_unpriced(first: Wire, more: tuple[Wire, ...], listed: Wire) -> list[str]:
    """The coins with a linear swap whose USD is not told and takes a mark price."""
    _, swaps, _ = live_swaps((first, *more), listed)
    return sorted({c.coin for c, row, _ in swaps if _takes_mark(c, row) and row.get("oi")})


def _takes_mark(contract: Contract, row: dict[str, Any]) -> bool:
    return contract.margin == "linear" and not row.get("oiUsd")


def parse_open_interest(
    first: Wire, more: tuple[Wire, ...], listed: Wire, marks: Wire
) -> tuple[dict[str, OpenInterestRow], dict[str, list[str]], int]:
    """Rows by coin, the listed symbols without a readable number by coin, and the bad rows."""
    expected, swaps, bad = live_swaps((first, *more), listed)
    prices = marks.parsed(parse_marks) if marks else {}
    read_at: dict[str, int] = {}

    def read(swap: tuple[Contract, dict[str, Any], Wire]) -> OpenPart | None:
        contract, row, wire = swap
        part = open_part(contract, row, prices.get(contract.symbol))
        if part is not None:
            marked = _takes_mark(contract, row)
            at = min(wire.fetched_at, marks.fetched_at) if marked else wire.fetched_at
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


def open_part(contract: Contract, row: dict[str, Any], mark: float | None) -> OpenPart | None:
    """One swap's open interest; None when its USD takes a mark price that is not known.

    `oiUsd` where the row has it, else contracts x size (inverse: USD; linear: coins x mark).
    """
    usd = amount(row["oiUsd"]) if row.get("oiUsd") else None
    units = amount(row["oiCcy"]) if row.get("oiCcy") else None
    linear = contract.margin == "linear"
    if usd is None:
        usd = _sized(contract, row)
        if linear and mark is None:
            return None
        usd *= mark if linear and mark is not None else 1
    if units is None and linear and contract.size:
        units = _sized(contract, row)
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
    first: Wire, more: tuple[Wire, ...], listed: Wire
) -> tuple[dict[str, FundingRow], dict[str, list[str]], int]:
    """Rows by coin, the main swaps without a readable rate by coin, and the bad rows.

    `fundingRate` is charged at `fundingTime`; `nextFundingTime` is the settlement after that, and
    the time between the two is the swap's period.
    """

    def read(swap: tuple[Contract, dict[str, Any], Wire]) -> tuple[Contract, FundingRow]:
        contract, row, wire = swap
        next_ms, after_ms = ms(row["fundingTime"]), ms(row["nextFundingTime"])
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


_KINDS = {"SWAP": "perp", "FUTURES": "future", "SPOT": "spot"}


def parse_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """The live instruments of one type, and the rows that could not be read."""

    def read(row: dict[str, Any]) -> MarketRow | None:
        if row["state"] != "live":
            return None
        symbol, kind = row["instId"], _KINDS[row["instType"]]
        coin = canonical(_base(row))[0] if _is_coin(row) else None
        terms = ", ".join(filter(None, (row.get("ctType"), row.get("settleCcy"))))
        return MarketRow("okx", symbol, coin, kind, f"{symbol} {terms or 'spot'}")

    return each(_data(wire), read)
