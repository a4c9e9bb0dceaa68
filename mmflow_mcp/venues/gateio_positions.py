"""Positioning and liquidations on Gate.

https://www.gate.com/docs/developers/apiv4/en/#futures-stats

`contract_stats` tells ratios, longs / shorts, of a contract; a point's time (seconds) is where its
interval begins, and 0 says that nothing is known. `liq_orders` without a contract brings about the
last hour of all contracts of a settlement currency.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import Unrecorded, VenueError, VenueRejected
from mmflow_mcp.rows.positions import PERIOD_MS, LiquidationPrint, LiquidationTape, PositioningRow
from mmflow_mcp.upstream.wire import NOTHING, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import each, number, number_or_none, positive
from mmflow_mcp.venues.gateio_contracts import MAIN, QUOTES, Books, live_contracts
from mmflow_mcp.venues.liquidation_tapes import LONG, SHORT, liquidation, tape_of
from mmflow_mcp.venues.shares import (
    GLOBAL,
    TOP,
    USUAL_COINS,
    Sample,
    Samples,
    Series,
    ask_shares,
    guess_speakers,
    share_of,
    speakers,
    stamp,
)

FUTURES = "https://api.gateio.ws/api/v4/futures"
MOST = 1000
_SETTLES = {quote: settle for settle, quote in QUOTES.items()}
_VIEWS = {GLOBAL: "lsr_account", TOP: "top_lsr_size"}
# Beyond it a time is told in milliseconds.
_SECONDS = 100_000_000_000


def stats(symbol: str, period: str) -> Call:
    """The newest points of one contract settled in USDT."""
    params: dict[str, str | int] = {"contract": symbol, "interval": period, "limit": 3}
    return get(f"{FUTURES}/{MAIN}/contract_stats", params, fresh=60, optional=True)


def orders(settle: str, symbol: str = "") -> Call:
    """Recent liquidations of a settlement currency, or of one of its contracts."""
    params: dict[str, str | int] = {"contract": symbol} if symbol else {}
    return get(
        f"{FUTURES}/{settle}/liq_orders",
        {**params, "limit": MOST},
        fresh=30,
        label="liq_orders" if settle == MAIN else f"{settle}/liq_orders",
        optional=bool(symbol) or settle != MAIN,
    )


def parse_stats(wire: Wire, period: str) -> tuple[Samples, int]:
    """Shares of all users and of the position size of the top traders."""

    def read(row: dict[str, Any]) -> dict[str, Sample]:
        end = stamp(row["time"]) * 1000 + PERIOD_MS[period]
        ratios = {view: number_or_none(row.get(name)) for view, name in _VIEWS.items()}
        return {view: Sample(end, share_of(ratio)) for view, ratio in ratios.items() if ratio}

    points, bad = each(wire.doc, read)
    return {view: [point[view] for point in points if view in point] for view in _VIEWS}, bad


async def ask_positioning(ask: Ask, books: Books) -> list[PositioningRow]:
    """Both views of each coin's contract in USDT; `books`: the list of those contracts."""
    if books:
        symbols = speakers((entry[0] for entry in live_contracts(books)[0]), (QUOTES[MAIN],))
    else:
        symbols = guess_speakers(ask, f"{{}}_{QUOTES[MAIN]}")
    return await ask_shares(ask, symbols, Series(stats, parse_stats))


@dataclass(frozen=True, slots=True)
class Heard:
    """What an answer tells: records by contract, whole since a moment, and the bad rows."""

    records: Mapping[str, tuple[LiquidationPrint, ...]]
    since_ms: int
    full: bool
    bad: int


def parse_orders(wire: Wire, books: Books) -> Heard:
    """The liquidations of the contracts in these lists, by contract.

    The sign of `size` is the position's: above 0 a long was closed. `order_size` is what of it was
    traded, at `fill_price`.
    """
    contracts = {entry[0].symbol: entry[0] for entry in live_contracts(books)[0]}

    def read(row: dict[str, Any]) -> LiquidationPrint | None:
        contract = contracts.get(row["contract"])
        if contract is None:
            return None
        position = number(row["size"])
        traded = abs(number_or_none(row.get("order_size")) or position)
        return liquidation(
            "gateio",
            contract,
            ts=moment_of(row["time"]),
            side=LONG if position > 0 else SHORT,
            price=positive(row["fill_price"]),
            count=traded if position else 0.0,
            fetched_at=wire.fetched_at,
        )

    found, bad = each(wire.doc, read)
    records: dict[str, list[LiquidationPrint]] = {}
    for record in found:
        records.setdefault(record.symbol, []).append(record)
    full = len(wire.doc) >= MOST
    since = wire.fetched_at - HOUR_MS
    if full:
        since = max(since, min((record.ts for record in found), default=wire.fetched_at))
    told = {symbol: tuple(same) for symbol, same in records.items()}
    return Heard(told, since, full, bad)


def moment_of(value: object) -> int:
    """Epoch ms, of seconds or of milliseconds as the feed tells them since 2026."""
    at = number(value)
    return round(at if at > _SECONDS else at * 1000)


async def ask_liquidations(ask: Ask, books: Books) -> list[LiquidationTape]:
    """About the last hour of each coin's contracts; `books`: the lists of contracts."""
    if ask.coins is None:
        ask.narrowed = ", ".join(USUAL_COINS)
    wanted = ask.coins or USUAL_COINS
    listed = [entry[0] for entry in live_contracts(books)[0]]
    chosen = [contract for contract in listed if contract.coin in wanted]
    heard = await _ask_orders(ask, books, chosen)
    tapes = {coin: _tape(ask, coin, chosen, heard) for coin in wanted}
    if not any(settle == MAIN for settle, _ in books):
        for coin in wanted:
            ask.short(f"missing: contract sizes for liquidations of {coin}", coin=coin)
    found = ask.pick({coin: tape for coin, tape in tapes.items() if tape is not None})
    ask.universe = {contract.coin: contract for contract in listed}
    return found


async def _ask_orders(
    ask: Ask, books: Books, chosen: Iterable[Contract]
) -> dict[str, tuple[Wire, Heard]]:
    """What was heard of each contract: in bulk, or alone where the bulk is refused or full."""
    settles = {contract.symbol: _SETTLES[contract.quote] for contract in chosen}
    others = sorted(set(settles.values()) - {MAIN})
    calls = [orders(settle) for settle in (MAIN, *others)] if settles else []
    try:
        wires = await ask.all(*calls)
    except (Unrecorded, VenueRejected):
        wires = [NOTHING, *await ask.all(*calls[1:])]
        refused = True
    else:
        refused = False
    heard: dict[str, tuple[Wire, Heard]] = {}
    alone: list[str] = []
    for settle, wire in zip((MAIN, *others), wires, strict=False):
        same = [symbol for symbol in settles if settles[symbol] == settle]
        found = _read(ask, wire, books)
        if found is not None and not found.full:
            heard.update(dict.fromkeys(same, (wire, found)))
        elif found is not None or (settle == MAIN and refused):
            alone += same
    single = await ask.all(*(orders(settles[symbol], symbol) for symbol in alone))
    for symbol, wire in zip(alone, single, strict=True):
        found = _read(ask, wire, books)
        if found is not None:
            heard[symbol] = (wire, found)
    return heard


def _read(ask: Ask, wire: Wire, books: Books) -> Heard | None:
    if not wire:
        return None
    try:
        found = wire.parsed(parse_orders, books)
    except VenueError as error:
        ask.short(f"{error.reason} (liq_orders)")
        return None
    ask.unread(found.bad)
    return found


def _tape(
    ask: Ask, coin: str, chosen: Iterable[Contract], heard: Mapping[str, tuple[Wire, Heard]]
) -> LiquidationTape | None:
    symbols = [contract.symbol for contract in chosen if contract.coin == coin]
    for symbol in symbols:
        if symbol not in heard:
            ask.short(f"missing: liquidations of {symbol}", coin=coin)
    known = [(symbol, *heard[symbol]) for symbol in symbols if symbol in heard]
    if not known:
        return None
    return tape_of(
        coin,
        "gateio",
        (record for symbol, _, found in known for record in found.records.get(symbol, ())),
        since_ms=max(found.since_ms for _, _, found in known),
        fetched_at=min(wire.fetched_at for _, wire, _ in known),
    )
