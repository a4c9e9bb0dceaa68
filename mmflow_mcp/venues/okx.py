"""OKX v5: swaps (perpetuals) in USDT, USDC and coin margin, in bulk by instrument type.

https://www.okx.com/docs-v5/en/#public-data

One answer brings the open interest of every swap, one the funding (`instId=ANY`), and one list that
changes by the day tells what the swaps are. Errors come with HTTP 200 and a `code`.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from mmflow_mcp.errors import (
    VenueBlocked,
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
from mmflow_mcp.upstream.wire import DAY, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.candle_series import ask_candles
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.feeds import ClosingRule
from mmflow_mcp.venues.moments import are_apart, note_apart
from mmflow_mcp.venues.okx_candles import BOOKS, candle_source, main_swaps
from mmflow_mcp.venues.okx_liquidations import closing_rule
from mmflow_mcp.venues.okx_past import ask_funding_history, ask_open_interest_history
from mmflow_mcp.venues.okx_positions import ask_liquidations, ask_positioning
from mmflow_mcp.venues.okx_spot import OKX_SPOT
from mmflow_mcp.venues.okx_swaps import (
    KINDS,
    find_unpriced,
    live_swaps,
    lost_of,
    parse_contracts,
    parse_funding,
    parse_markets,
    parse_open_interest,
    read_names,
    swaps_of,
)
from mmflow_mcp.venues.order_books import ask_books
from mmflow_mcp.venues.pairs import ask_spot
from mmflow_mcp.venues.singles import FEW, REFUSALS, ask_singly, ask_some

HOST = "www.okx.com"
STREAM_HOST = "ws.okx.com"
API = f"https://{HOST}/api/v5/public"
OPEN_INTEREST = get(f"{API}/open-interest", {"instType": "SWAP"}, fresh=5)
FUNDING = get(f"{API}/funding-rate", {"instId": "ANY"}, fresh=5, weight=2)
MARKS = get(f"{API}/mark-price", {"instType": "SWAP"}, fresh=5, weight=2)


def instruments(kind: str) -> Call:
    """The list of instruments of a type (SWAP, FUTURES, SPOT); it changes by the day."""
    return get(f"{API}/instruments", {"instType": kind}, fresh=DAY, reference=True, optional=True)


def open_interest_of(symbol: str) -> tuple[Call, ...]:
    """Open interest of one swap; some clients name its underlying as well."""
    params: dict[str, str | int] = {"instType": "SWAP", "instId": symbol}
    named = {**params, "uly": symbol.removesuffix("-SWAP")}
    return tuple(get(f"{API}/open-interest", form, fresh=5) for form in (params, named))


def funding_of(symbol: str) -> Call:
    """The funding rate of one swap."""
    return get(f"{API}/funding-rate", {"instId": symbol}, fresh=5, weight=2)


def mark_of(symbol: str) -> Call:
    """The mark price of one swap."""
    params: dict[str, str | int] = {"instType": "SWAP", "instId": symbol}
    return get(f"{API}/mark-price", params, fresh=5, weight=2)


class Okx(Venue):
    """OKX's perpetual swaps."""

    id = "okx"
    name = "OKX"
    kind = "cex"
    aliases = ("OKEX", "OKX_SWAP", "OKEX_SWAP", "OKEX_FUTURES", "okex5", "okex-options")
    hosts = (HOST, STREAM_HOST)
    always = ("BTC", "ETH")
    # 20 requests in 2 s for each path; the paths that allow 10 weigh 2.
    meters = (Meter((HOST,), 20, 2),)
    data_source = "OKX v5 public REST"
    docs = "https://www.okx.com/docs-v5/en/"
    notes = (
        "Open interest as the venue publishes it, taken as one-sided.",
        "Liquidations: what the venue publishes, which is not all, and may lag by an hour.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors come with HTTP 200 (or 400) and a code other than "0"."""
        if status not in (200, 400):
            return None
        code = _CODE.search(body[:200])
        return None if code is None or not int(code[1]) else _refused(int(code[1]))

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """Linear and inverse swaps of each coin, summed; marks are asked only where needed."""
        swaps = await _ask_swaps(ask, OPEN_INTEREST, _open_interest_forms)
        if not swaps.wires:
            return ask.pick({})
        first, more = swaps.wires[0], swaps.wires[1:]
        marks = await _ask_marks(ask, first, more, swaps.listed)
        rows, silent, bad = first.parsed(
            parse_open_interest, more, swaps.listed, marks, swaps.unheard
        )
        ask.unread(bad)
        _note_gaps(ask, rows, silent, swaps.listed, "open interest")
        if are_apart(swaps.wires):
            _, found, _ = live_swaps(swaps.wires, swaps.listed)
            note_apart(ask, rows, {s.contract.symbol: s.wire.fetched_at for s in found})
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The running rate of each coin's main swap."""
        swaps = await _ask_swaps(ask, FUNDING, _funding_forms)
        if not swaps.wires:
            return ask.pick({})
        first, more = swaps.wires[0], swaps.wires[1:]
        rows, silent, bad = first.parsed(parse_funding, more, swaps.listed, swaps.unheard)
        ask.unread(bad)
        _note_gaps(ask, rows, silent, swaps.listed, "funding rate")
        return ask.pick(rows)

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """What the coin's main swap was charged, in the last three months."""
        (listed,) = await ask.all(instruments("SWAP"))
        return await ask_funding_history(ask, listed)

    async def open_interest_history(self, ask: Ask) -> list[OpenInterestPast]:
        """Every swap of the coin, summed; a sum needs the list of them."""
        return await ask_open_interest_history(ask, await ask.get(instruments("SWAP")))

    async def spot(self, ask: Ask) -> list[SpotRow]:
        """Spot tickers in USDT; USDC or USD where there is no USDT pair."""
        return await ask_spot(ask, OKX_SPOT)

    async def positioning(self, ask: Ask) -> list[PositioningRow]:
        """Shares of accounts and of the top traders' positions, of each coin's main swap."""
        (listed,) = await ask.all(instruments("SWAP"))
        return await ask_positioning(ask, listed)

    async def liquidations(self, ask: Ask) -> list[LiquidationTape]:
        """The last 24 hours of every swap of each coin; the venue does not publish all."""
        (listed,) = await ask.all(instruments("SWAP"))
        return await ask_liquidations(ask, listed)

    def liquidation_feed(self) -> ClosingRule:
        """Liquidations of all swaps; the venue does not publish all."""
        return closing_rule(_ask_contracts)

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """Candles of each coin's main swap."""
        (listed,) = await ask.all(instruments("SWAP"))
        return await ask_candles(ask, main_swaps(ask, listed), candle_source(ask.now_ms))

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """Books of the same swaps."""
        (listed,) = await ask.all(instruments("SWAP"))
        return await ask_books(ask, main_swaps(ask, listed), BOOKS)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every live swap, dated future and spot pair; options are not listed here."""
        rows: list[MarketRow] = []
        for wire in filter(None, await ask_some(ask, [*map(instruments, KINDS)])):
            found, bad = wire.parsed(parse_markets)
            ask.unread(bad)
            rows += found
        return list(dict.fromkeys(rows))


class _Swaps(NamedTuple):
    """What was read: answers, the list of swaps (or NOTHING), and (symbol, coin) not heard of."""

    wires: tuple[Wire, ...]
    listed: Wire
    unheard: tuple[tuple[str, str], ...] = ()


# Of a coin: the requests for each of its symbols that a bulk answer does not name.
Forms = Callable[[Wire, str, frozenset[str]], dict[str, tuple[Call, ...]]]


async def _ask_contracts(ask: Ask) -> dict[str, Contract]:
    """Every live swap by its symbol."""
    return (await ask.get(instruments("SWAP"))).parsed(parse_contracts)[0]


async def _ask_swaps(ask: Ask, bulk: Call, forms: Forms) -> _Swaps:
    """The bulk answer with the list of swaps; what it is refused for or lacks, swap by swap."""
    refusal: VenueError | None = None
    wires: tuple[Wire, ...] = ()
    try:
        wire, listed = await ask.all(bulk, instruments("SWAP"))
        wires = (wire,)
    except REFUSALS as error:
        if ask.coins is None:
            raise
        refusal = error
        (listed,) = await ask.all(instruments("SWAP"))
    named = wires[0].parsed(read_names) if wires else frozenset[str]()
    calls = {
        symbol: (coin, some)
        for coin in ask.coins or ()
        for symbol, some in forms(listed, coin, named).items()
    }
    if refusal is None:
        calls = dict(list(calls.items())[:FEW])
    singles = await ask_singly(ask, {symbol: some for symbol, (_, some) in calls.items()})
    if refusal and not singles.found and (calls or not listed):
        raise refusal
    names = listed.parsed(read_names) if listed else frozenset[str]()
    for symbol, failure in singles.failed.items():
        if symbol in names or symbol in singles.unheard:
            ask.short(f"{failure.reason} ({symbol})")
    unheard = [s for s in singles.unheard if s.endswith("-USDT-SWAP") and s not in names]
    return _Swaps(
        (*wires, *singles.found.values()), listed, tuple((s, calls[s][0]) for s in unheard)
    )


def _open_interest_forms(
    listed: Wire, coin: str, named: frozenset[str]
) -> dict[str, tuple[Call, ...]]:
    """All swaps of a coin, for a sum needs them all."""
    return {s: open_interest_of(s) for s in swaps_of(listed, coin) if s not in named}


def _funding_forms(listed: Wire, coin: str, named: frozenset[str]) -> dict[str, tuple[Call, ...]]:
    """The swap that speaks for a coin; where it is refused, the one that is next in order."""
    symbols = swaps_of(listed, coin)
    if not symbols or symbols[0] in named:
        return {}
    return {symbols[0]: tuple(funding_of(s) for s in symbols if s not in named)}


async def _ask_marks(
    ask: Ask, first: Wire, more: tuple[Wire, ...], listed: Wire
) -> tuple[Wire, ...]:
    """Mark prices for the linear swaps whose USD is not told."""
    if not ask.wants(first.parsed(find_unpriced, more, listed, None)):
        return ()
    marks: tuple[Wire, ...] = ()
    try:
        marks = (await ask.get(MARKS),)
    except REFUSALS as refusal:
        if ask.coins is None:
            ask.short(f"{refusal.reason} ({MARKS.label})")
    except VenueError as error:
        ask.short(f"{error.reason} ({MARKS.label})")
        return ()
    if ask.coins is None:
        return marks
    without = first.parsed(find_unpriced, more, listed, marks)
    symbols = [symbol for coin in ask.wants(without) for symbol in without[coin]]
    singles = await ask_singly(ask, {symbol: (mark_of(symbol),) for symbol in symbols[:FEW]})
    for symbol, failure in singles.failed.items():
        ask.short(f"{failure.reason} (mark price of {symbol})")
    return (*marks, *singles.found.values())


def _note_gaps(
    ask: Ask, rows: Mapping[str, object], silent: dict[str, list[str]], listed: Wire, what: str
) -> None:
    """Say which swaps that are listed gave nothing; by name while they are few."""
    coins = ask.wants(silent)
    symbols = [symbol for coin in coins for symbol in silent[coin]]
    named = ", ".join(symbols) if len(symbols) <= 6 else f"{len(symbols)} listed swaps"
    for coin in coins:
        ask.short(f"missing: no {what} of {named}", coin=coin)
    lost = lost_of(listed)
    if lost:
        ask.short(f"missing: the list of swaps lacks {', '.join(lost)}")
    for coin in ask.coins or ():
        if (lost or not listed) and coin not in rows and coin not in silent:
            # Without the list nobody knows whether it is listed.
            ask.short(f"missing: no {what} of {coin} without the list of swaps", coin=coin)


_CODE = re.compile(rb'"code"\s*:\s*"?(\d{1,6})\b')


def _refused(code: int) -> VenueError:
    if code in (50011, 50061):
        return VenueRateLimited(200, f"code {code}, too many requests", retry_after=2)
    if code in (50001, 50004, 50013, 50026):
        return VenueHttp(500, f"code {code}, the venue is busy or down")
    if code in (50030, 50044):
        return VenueBlocked(f"blocked: code {code}, the venue does not serve this place")
    return VenueRejected(f"rejected: code {code}")
