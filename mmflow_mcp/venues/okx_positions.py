"""Positioning and liquidations on OKX, one contract at a time.

https://www.okx.com/docs-v5/en/#trading-statistics-rest-api

Ratios are rows of text, [time, longs / shorts], newest first; a row's time is where its period
begins, and the newest is still forming. Liquidations come as the details of a family's swap.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mmflow_mcp.errors import VenueChanged, VenueError
from mmflow_mcp.rows.positions import PERIOD_MS, LiquidationPrint, LiquidationTape, PositioningRow
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import each, member, number, positive
from mmflow_mcp.venues.liquidation_tapes import (
    LONG,
    SHORT,
    WINDOW_MS,
    liquidation,
    tape_of,
)
from mmflow_mcp.venues.okx_swaps import parse_contracts
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

API = "https://www.okx.com/api/v5"
ACCOUNTS = "long-short-account-ratio-contract"
POSITIONS = "long-short-position-ratio-contract-top-trader"
PAGE = 100
# Enough for 1,000 records of a swap in a day; what lies beyond is said to be missing.
MAX_PAGES = 10
_SPELLED = {"1h": "1H", "4h": "4H"}


def ratios(path: str, symbol: str, period: str) -> Call:
    """The newest samples of one swap. A path allows 5 requests in 2 s; two are asked at once."""
    params: dict[str, str | int] = {"instId": symbol, "period": _SPELLED.get(period, period)}
    url = f"{API}/rubik/stat/contracts/{path}"
    return get(url, {**params, "limit": 3}, fresh=60, weight=2, optional=True)


def liquidation_orders(family: str, before_ms: int | None = None) -> Call:
    """A page of liquidations of a family's swap, the newest or those before a moment."""
    params: dict[str, str | int] = {"instType": "SWAP", "state": "filled", "instFamily": family}
    params["limit"] = PAGE
    if before_ms is not None:
        # The venue's word for records older than that.
        params["after"] = before_ms
    return get(
        f"{API}/public/liquidation-orders",
        params,
        fresh=30,
        weight=0.5,
        label="public/liquidation-orders",
        optional=True,
    )


def _data(wire: Wire) -> list[Any]:
    if member(wire.doc, "code") != "0":
        raise VenueChanged("changed: the answer carries an error code")
    rows: list[Any] = member(wire.doc, "data")
    return rows


def _read_ratios(wire: Wire, period: str) -> tuple[list[Sample], int]:
    def read(row: list[Any]) -> Sample:
        return Sample(stamp(row[0]) + PERIOD_MS[period], share_of(row[1]))

    return each(_data(wire), read)


def parse_accounts(wire: Wire, period: str) -> tuple[Samples, int]:
    """Share of all accounts."""
    found, bad = _read_ratios(wire, period)
    return {GLOBAL: found}, bad


def parse_positions(wire: Wire, period: str) -> tuple[Samples, int]:
    """Share of the position value of the top traders."""
    found, bad = _read_ratios(wire, period)
    return {TOP: found}, bad


async def ask_positioning(ask: Ask, listed: Wire) -> list[PositioningRow]:
    """Both views of each coin's main linear swap."""
    if listed:
        symbols = speakers(listed.parsed(parse_contracts)[0].values())
    else:
        symbols = guess_speakers(ask, "{}-USDT-SWAP")
    return await ask_shares(
        ask,
        symbols,
        Series(partial(ratios, ACCOUNTS), parse_accounts),
        Series(partial(ratios, POSITIONS), parse_positions),
    )


@dataclass(frozen=True, slots=True)
class Page:
    """What was read of a page: records of one swap, and how many could not be read."""

    records: tuple[LiquidationPrint, ...]
    bad: int


def parse_liquidations(wire: Wire, contract: Contract) -> Page:
    """The liquidations of one swap: sz contracts at bkPx; `posSide` is whose position it was."""

    def read(row: dict[str, Any]) -> LiquidationPrint:
        return liquidation(
            "okx",
            contract,
            ts=stamp(row["ts"]),
            side=closed_side(row),
            price=positive(row["bkPx"]),
            count=number(row["sz"]),
            fetched_at=wire.fetched_at,
        )

    records: list[LiquidationPrint] = []
    bad = 0
    for group in _data(wire):
        if not isinstance(group, dict) or group.get("instId") != contract.symbol:
            continue
        found, unread = each(member(group, "details"), read)
        records += found
        bad += unread
    return Page(tuple(records), bad)


def closed_side(row: dict[str, Any]) -> str:
    """Whose position a record closed. In net mode the order tells: a sale closes a long.

    Raises KeyError or ValueError where that is not told.
    """
    by_order = {"sell": LONG, "buy": SHORT}
    side = {LONG: LONG, SHORT: SHORT, "net": by_order.get(row["side"])}[row["posSide"]]
    if side is None:
        msg = "no side"
        raise ValueError(msg)
    return side


@dataclass(slots=True)
class _Trail:
    """The records of one swap, read back page by page."""

    contract: Contract
    records: dict[tuple[Any, ...], LiquidationPrint] = field(default_factory=dict)
    pages: list[Wire] = field(default_factory=list)
    since_ms: int | None = None
    before_ms: int | None = None
    done: bool = False

    def call(self) -> Call:
        # The symbols that are read at all end so, and the rest is the family's name.
        return liquidation_orders(self.contract.symbol.removesuffix("-SWAP"), self.before_ms)

    def take(self, ask: Ask, wire: Wire) -> None:
        """Add a page, if it could be had and read."""
        coin, symbol = self.contract.coin, self.contract.symbol
        try:
            page = wire.parsed(parse_liquidations, self.contract) if wire else None
        except VenueError as error:
            ask.short(f"{error.reason} ({symbol})", coin=coin)
            page = None
        if page is None:
            ask.short(f"missing: some liquidations of {symbol}", coin=coin)
            self.done = True
            return
        ask.unread(page.bad)
        self.pages.append(wire)
        if not self._add(page):
            ask.short(f"missing: some liquidations of {symbol}", coin=coin)

    def _add(self, page: Page) -> bool:
        """Done when it is the last page, or the window is full; False when it brings no news."""
        start = self.pages[0].fetched_at - WINDOW_MS
        known = len(self.records)
        self.records.update((record.key, record) for record in page.records)
        oldest = min((record.ts for record in page.records), default=start)
        whole = len(page.records) + page.bad < PAGE or oldest <= start
        self.since_ms = start if whole else oldest
        news = len(self.records) > known
        # Records of the oldest millisecond may be on both sides of the cut, so it is asked again;
        # more of them than a page holds are passed. Passed without news, it would go on for ever.
        passed = self.before_ms == oldest
        self.done = whole or (passed and not news)
        self.before_ms = oldest + 1 if news else oldest
        return whole or news


async def ask_liquidations(ask: Ask, listed: Wire) -> list[LiquidationTape]:
    """The last 24 hours of every swap of each coin, page by page, all swaps at once."""
    if ask.coins is None:
        ask.narrowed = ", ".join(USUAL_COINS)
    wanted = ask.coins or USUAL_COINS
    contracts = listed.parsed(parse_contracts)[0] if listed else {}
    trails = [_Trail(c) for c in contracts.values() if c.coin in wanted]
    for _ in range(MAX_PAGES):
        going = [trail for trail in trails if not trail.done]
        if not going:
            break
        for trail, wire in zip(going, await ask.all(*(t.call() for t in going)), strict=True):
            trail.take(ask, wire)
    if not listed:
        for coin in wanted:
            ask.short(f"missing: contract sizes for liquidations of {coin}", coin=coin)
    tapes = {coin: _tape(coin, [t for t in trails if t.contract.coin == coin]) for coin in wanted}
    found = ask.pick({coin: tape for coin, tape in tapes.items() if tape is not None})
    ask.universe = {contract.coin: contract for contract in contracts.values()}
    return found


def _tape(coin: str, trails: Iterable[_Trail]) -> LiquidationTape | None:
    """One tape of a coin's swaps, whole since the youngest of their beginnings."""
    heard = [trail for trail in trails if trail.since_ms is not None]
    if not heard:
        return None
    return tape_of(
        coin,
        "okx",
        (record for trail in heard for record in trail.records.values()),
        since_ms=max(trail.since_ms or 0 for trail in heard),
        fetched_at=min(wire.fetched_at for trail in heard for wire in trail.pages),
    )
