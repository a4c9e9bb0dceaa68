"""Reads Deribit's perpetuals out of the summaries of dated futures and perpetuals.

https://docs.deribit.com/#public-get_book_summary_by_currency
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows import FundingRow, OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.contracts import (
    INVERSE_FIRST,
    Contract,
    OpenPart,
    funding_row,
    main_perpetuals,
    sum_open_interest,
)
from mmflow_mcp.venues.deribit_names import INVERSE, LINEAR, read_perpetual
from mmflow_mcp.venues.fields import MAX_USD, amount, each, member, positive, positive_or_none, rate


class Listed(NamedTuple):
    """A perpetual, the answer it stands in, and its row there."""

    contract: Contract
    wire: Wire
    row: dict[str, Any]


def _perpetuals(wires: Iterable[Wire]) -> tuple[list[Listed], int]:
    """Each perpetual once; dated futures are left out."""

    def read(pair: tuple[Wire, dict[str, Any]]) -> Listed | None:
        wire, row = pair
        contract = read_perpetual(row["instrument_name"])
        # Only a ticker tells a state.
        if contract is None or row.get("state", "open") != "open":
            return None
        return Listed(contract, wire, row)

    found, bad = each(list(_rows(wires)), read)
    return list({one.contract.symbol: one for one in found}.values()), bad


def listed_perpetuals(wire: Wire) -> tuple[list[Contract], int]:
    """The perpetuals that a summary names, and the rows that could not be read."""
    found, bad = _perpetuals((wire,))
    return [one.contract for one in found], bad


def read_times(wires: Iterable[Wire]) -> dict[str, int]:
    """When each perpetual of these answers was read, epoch ms."""
    return {one.contract.symbol: one.wire.fetched_at for one in _perpetuals(wires)[0]}


def names_of(wires: Iterable[Wire]) -> frozenset[str]:
    """The names of all instruments in these answers."""
    return frozenset(str(row.get("instrument_name")) for _, row in _rows(wires) if row)


def _rows(wires: Iterable[Wire]) -> Iterator[tuple[Wire, dict[str, Any]]]:
    for wire in wires:
        result = member(wire.doc, "result")
        if isinstance(result, dict) and "instrument_name" in result:
            # The ticker of one perpetual stands without a list.
            result = [result]
        if not isinstance(result, list):
            raise VenueChanged("changed: a list was expected")
        yield from ((wire, row) for row in result)


def parse_open_interest(
    first: Wire, more: tuple[Wire, ...], lines: tuple[str, ...], lacking: tuple[str, ...]
) -> tuple[dict[str, OpenInterestRow], dict[str, tuple[str, ...]], int]:
    """Rows by coin, the perpetuals that could not be read by coin, and the bad rows.

    `lines` are the currencies of the answers, `lacking` those asked for in vain. BTC and ETH get
    no row without the summary of their own currency: it holds nearly all of it.
    """
    found, bad = _perpetuals((first, *more))
    found = [one for one in found if one.contract.coin not in INVERSE or one.contract.coin in lines]
    parts, missed = each(found, lambda one: open_part(one.contract, one.row))
    have = {part.symbol for part in parts}
    silent = _unread(found, lines, have, linear_adds=True)
    linear = {coin: f"{coin}_{LINEAR}-PERPETUAL" for coin in lines if LINEAR in lacking}
    lost = {coin: (name,) for coin, name in linear.items() if name not in have}
    missing = {coin: (*silent.get(coin, ()), *lost.get(coin, ())) for coin in {**silent, **lost}}
    rows = sum_open_interest(
        "deribit", parts, first.fetched_at, missing=missing, contracts_reported=False
    )
    oldest: dict[str, int] = {}
    for one in found:
        at, coin = one.wire.fetched_at, one.contract.coin
        oldest[coin] = min(at, oldest.get(coin, at))
    dated = {coin: replace(row, fetched_at=oldest[coin]) for coin, row in rows.items()}
    return dated, silent, bad + missed


def _unread(
    found: list[Listed], lines: tuple[str, ...], have: set[str], *, linear_adds: bool
) -> dict[str, tuple[str, ...]]:
    """What is listed and was not read, by coin; those of BTC and ETH always are listed."""
    listed = {coin: {f"{coin}-PERPETUAL"} for coin in INVERSE if coin in lines}
    if linear_adds and LINEAR in lines:
        for coin, names in listed.items():
            names.add(f"{coin}_{LINEAR}-PERPETUAL")
    for contract, _, _ in found:
        listed.setdefault(contract.coin, set()).add(contract.symbol)
    silent = {coin: tuple(sorted(names - have)) for coin, names in listed.items()}
    return {coin: names for coin, names in silent.items() if names}


def open_part(contract: Contract, row: dict[str, Any]) -> OpenPart:
    """One perpetual's open interest, one-sided: USD on inverse, coins on linear ones.

    It is no number of contracts and is never multiplied by their size.
    """
    quantity = amount(row["open_interest"])
    if contract.margin == "inverse":
        mark = positive_or_none(row.get("mark_price"))
        usd, coins = quantity, None if mark is None else quantity / mark
    else:
        usd = quantity * positive(row["mark_price"])
        coins = quantity * contract.multiplier
    if usd >= MAX_USD:
        msg = "not an open interest"
        raise ValueError(msg)
    return OpenPart(contract.coin, contract.symbol, usd=usd, coins=coins)


def parse_funding(
    first: Wire, more: tuple[Wire, ...], lines: tuple[str, ...]
) -> tuple[dict[str, FundingRow], dict[str, tuple[str, ...]], int]:
    """`funding_8h`: what accrued over the last 8 hours, a fraction; longs pay when positive.

    The linear perpetuals of BTC and ETH never stand in for the inverse ones.
    """

    def read(one: Listed) -> tuple[Contract, FundingRow]:
        made = funding_row(
            "deribit",
            one.contract,
            rate(one.row["funding_8h"]),
            8,
            one.wire.fetched_at,
            kind="trailing",
            mark=positive_or_none(one.row.get("mark_price")),
        )
        return one.contract, made

    found, bad = _perpetuals((first, *more))
    main = [
        one for one in found if one.contract.margin == "inverse" or one.contract.coin not in INVERSE
    ]
    rows, missed = each(main, read)
    silent = _unread(main, lines, {row.symbol for _, row in rows}, linear_adds=False)
    return main_perpetuals(rows, INVERSE_FIRST), silent, bad + missed
