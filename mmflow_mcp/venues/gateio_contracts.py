"""What Gate's lists of contracts mean: pure functions over its answers.

https://www.gate.com/docs/developers/apiv4/en/#list-all-futures-contracts

Times are seconds, prices text, sizes numbers or text. `position_size` counts contracts once (the
`total_size` of the tickers counts both sides). A contract is `quanto_multiplier` coins, or 1 USD
where it is inverse (multiplier 0).
"""

import re
from collections.abc import Iterable
from typing import Any

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
from mmflow_mcp.venues.fields import (
    amount,
    each,
    number_or_none,
    positive,
    positive_or_none,
    rate,
)
from mmflow_mcp.venues.namesakes import is_surely_coin

# Settlement currency -> the quote of its contracts.
QUOTES = {"usdt": "USDT", "btc": "USD", "usd1": "USD1"}
MAIN, *OTHERS = QUOTES

# Answers with the settlement currency of the contracts in them.
Books = tuple[tuple[str, Wire], ...]


def _rows(wire: Wire) -> list[Any]:
    """The rows of a list, or the one contract that was asked for."""
    rows: list[Any] = [wire.doc] if isinstance(wire.doc, dict) else wire.doc
    return rows


# Listed since 2018: what lacks it is short by it.
ALWAYS = {"BTC_USD": "BTC"}
_NAME = re.compile(r"^([^_]+)_(USDT|USD1|USD)$")


def settle_of(name: str) -> str:
    """The settlement currency of a contract: its quote, or BTC where that is USD."""
    return next(settle for settle, quote in QUOTES.items() if name.endswith(f"_{quote}"))


def name_of(row: dict[str, Any], settle: str) -> str:
    """The contract's name. Some recorders leave it out; what is inverse and pays BTC is BTC_USD."""
    name = row["name"]
    if not name and settle == "btc" and row.get("type") == "inverse":
        return next(iter(ALWAYS))
    return str(name)


def read_names(wire: Wire, settle: str) -> frozenset[str]:
    """The names of a list, whatever the state of the contracts."""
    rows = _rows(wire)
    return frozenset(
        name_of(row, settle)
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and "name" in row
    )


def one_contract(wire: Wire, name: str) -> Wire:
    """The answer about one contract under the name that it was asked by.

    Raises `VenueChanged` when it is about another one.
    """
    doc = wire.doc
    if not isinstance(doc, dict) or doc.get("name") not in (name, "", None):
        raise VenueChanged(f"changed: the answer is not about {name}")
    return wire if doc.get("name") == name else _like(wire, {**doc, "name": name})


def as_contracts(wire: Wire) -> Wire:
    """Tickers as the rows of a list of contracts would tell them.

    `total_size` counts longs and shorts. Neither state nor kind is told, so that only what is
    surely a coin is read; there is no funding period either.
    """

    def read(row: dict[str, Any]) -> dict[str, Any]:
        total = amount(row["total_size"])
        if total % 2 == 1:
            # Tickers of 2022 have odd numbers, and no multiplier: they count something else.
            msg = "not both sides of the open interest"
            raise ValueError(msg)
        return {
            "name": row["contract"],
            "status": "trading",
            "quanto_multiplier": row["quanto_multiplier"],
            "position_size": total / 2,
            "mark_price": row.get("mark_price"),
        }

    return _like(wire, each(wire.doc, read, tolerate=1)[0])


def _like(wire: Wire, doc: Any) -> Wire:
    return Wire(doc, fetched_at=wire.fetched_at, read=wire.read, size=wire.size)


def read_contract(row: dict[str, Any], settle: str) -> Contract | None:
    """A contract from its row; None where it is no live crypto perpetual.

    Raises ValueError for what cannot be priced: another quote, or a quanto contract.
    """
    name = name_of(row, settle)
    parts = _NAME.match(name)
    if not parts or parts[2] != QUOTES[settle]:
        msg = "not a name of this settlement currency"
        raise ValueError(msg)
    coin, multiplier = canonical(parts[1])
    if not _is_live(row) or not _is_coin(row, coin):
        return None
    size = number_or_none(row.get("quanto_multiplier"))
    if row.get("type") == "inverse" or (settle == "btc" and not size):
        return Contract(name, coin, multiplier, parts[2], "inverse")
    if settle == "btc":
        msg = "a quanto contract"
        raise ValueError(msg)
    return Contract(name, coin, multiplier, parts[2], "linear", positive(size))


def _is_live(row: dict[str, Any]) -> bool:
    """Trading, as far as the row tells: rows of before 2024 have neither status nor pre-market."""
    return (
        not row.get("in_delisting")
        and not row.get("is_pre_market")
        and row.get("status", "trading") == "trading"
    )


def _is_coin(row: dict[str, Any], coin: str) -> bool:
    """`contract_type` "" is crypto. Rows of early 2026 list stocks and lack it: sure coins only.

    Rows that lack the status too are older than any stock here.
    """
    kind = row.get("contract_type")
    if kind is None:
        return "status" not in row or is_surely_coin(coin)
    return bool(kind == "")


def live_contracts(books: Books) -> tuple[list[tuple[Contract, dict[str, Any], Wire]], int]:
    """Each live contract once, with its row and wire, and the rows that could not be read."""
    found: dict[str, tuple[Contract, dict[str, Any], Wire]] = {}
    bad = 0
    for settle, wire in books:
        pairs, unread = wire.parsed(_contracts_of, settle)
        bad += unread
        found.update({listed.symbol: (listed, row, wire) for listed, row in pairs})
    return list(found.values()), bad


def _contracts_of(wire: Wire, settle: str) -> tuple[list[tuple[Contract, dict[str, Any]]], int]:
    def read(row: dict[str, Any]) -> tuple[Contract, dict[str, Any]] | None:
        listed = read_contract(row, settle)
        return (listed, row) if listed else None

    # One bad row among 1000 is a row; the only row of a list says nothing of the other lists.
    whole = settle == MAIN and isinstance(wire.doc, list)
    return each(_rows(wire), read, tolerate=0.5 if whole else 1)


def parse_open_interest(
    _: Wire, books: Books
) -> tuple[dict[str, OpenInterestRow], dict[str, list[str]], int]:
    """Rows by coin, the listed contracts without a readable number by coin, and the bad rows."""
    listed, bad = live_contracts(books)
    parts, missed = each(listed, lambda entry: open_part(entry[0], entry[1]))
    wires = {item.symbol: wire for item, _, wire in listed}
    have = {part.symbol for part in parts}
    silent = _by_coin(item for item, *_ in listed if item.symbol not in have)
    named = {name for settle, wire in books for name in wire.parsed(read_names, settle)}
    for symbol, coin in ALWAYS.items():
        if symbol not in named:
            silent.setdefault(coin, []).append(symbol)
    read_at: dict[str, int] = {}
    for part in parts:
        at = wires[part.symbol].fetched_at
        read_at[part.coin] = min(at, read_at.get(part.coin, at))
    rows: dict[str, OpenInterestRow] = {}
    for at in set(read_at.values()):
        same = [part for part in parts if read_at[part.coin] == at]
        rows.update(sum_open_interest("gateio", same, at, missing=silent, contracts_reported=False))
    return dict(sorted(rows.items())), silent, bad + missed


def open_part(listed: Contract, row: dict[str, Any]) -> OpenPart:
    """One contract's open interest: `position_size` contracts, counted once."""
    size = amount(row["position_size"])
    units: float | None
    if listed.margin == "linear":
        units = size * listed.size
        usd = units * positive(row["mark_price"])
    else:
        mark = positive_or_none(row.get("mark_price"))
        units, usd = (size / mark if mark else None), size
    coins = None if units is None else units * listed.multiplier
    return OpenPart(listed.coin, listed.symbol, usd, coins)


def parse_funding(_: Wire, books: Books) -> tuple[dict[str, FundingRow], dict[str, list[str]], int]:
    """Rows by coin, the main contracts without a readable rate by coin, and the bad rows.

    `funding_rate` is charged at `funding_next_apply`, every `funding_interval` (both seconds).
    """

    def read(entry: tuple[Contract, dict[str, Any], Wire]) -> tuple[Contract, FundingRow]:
        item, row, wire = entry
        seconds = positive_or_none(row.get("funding_next_apply"))
        made = funding_row(
            "gateio",
            item,
            rate(row["funding_rate"]),
            positive(row["funding_interval"]) / 3600,
            wire.fetched_at,
            mark=positive_or_none(row.get("mark_price")),
            next_ms=None if seconds is None else round(seconds * 1000),
        )
        return item, made

    listed, bad = live_contracts(books)
    found, missed = each(listed, read)
    rows = main_perpetuals(found)
    silent = _by_coin(
        item
        for item, *_ in listed
        if item.coin not in rows
        or (item.rank_key == "USDT" and item.symbol != rows[item.coin].symbol)
    )
    return rows, silent, bad + missed


def _by_coin(items: Iterable[Contract]) -> dict[str, list[str]]:
    symbols: dict[str, list[str]] = {}
    for item in items:
        symbols.setdefault(item.coin, []).append(item.symbol)
    return symbols


def parse_contracts(wire: Wire, kind: str, settle: str) -> tuple[list[MarketRow], int]:
    """The live perpetuals or dated futures of a list, stocks and metals among them."""

    def read(row: dict[str, Any]) -> MarketRow | None:
        name = name_of(row, settle)
        # The name alone tells the base.
        coin, _ = canonical(_BASE.match(name)[1])  # type: ignore[index]
        if not _is_live(row):
            return None
        label = f"{name} {kind} ({settle.upper()})"
        return MarketRow("gateio", name, coin if _is_coin(row, coin) else None, kind, label)

    return each(_rows(wire), read)


_BASE = re.compile(r"^([^_]+)_")
_LEVERAGED = re.compile(r"^.+[35][LS]$")


def parse_pairs(wire: Wire) -> tuple[list[MarketRow], int]:
    """The spot pairs; leveraged tokens such as BTC3L are no coin."""

    def read(row: dict[str, Any]) -> MarketRow | None:
        if row["trade_status"] != "tradable" or row.get("type", "normal") != "normal":
            return None
        coin = None if _LEVERAGED.match(row["base"]) else canonical(row["base"])[0]
        label = f"{row['base']}/{row['quote']} spot"
        return MarketRow("gateio", row["id"], coin, "spot", label)

    return each(_rows(wire), read)
