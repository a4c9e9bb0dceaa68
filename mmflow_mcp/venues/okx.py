"""OKX v5: swaps (perpetuals) in USDT, USDC and coin margin, in bulk by instrument type.

https://www.okx.com/docs-v5/en/#public-data

One answer brings the open interest of every swap, one the funding (`instId=ANY`), and one list that
changes by the day tells what the swaps are. Errors come with HTTP 200 and a `code`.
"""

import re
from collections.abc import Callable, Mapping

from mmflow_mcp.errors import (
    Unrecorded,
    VenueBlocked,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow
from mmflow_mcp.rows.positions import LiquidationTape, PositioningRow
from mmflow_mcp.rows.spot import SpotRow
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, NOTHING, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.contracts import USDT_FIRST
from mmflow_mcp.venues.namesakes import is_surely_coin
from mmflow_mcp.venues.okx_positions import ask_liquidations, ask_positioning
from mmflow_mcp.venues.okx_spot import OKX_SPOT
from mmflow_mcp.venues.okx_swaps import (
    find_unpriced,
    parse_contracts,
    parse_funding,
    parse_markets,
    parse_open_interest,
)
from mmflow_mcp.venues.pairs import ask_spot

HOST = "www.okx.com"
API = f"https://{HOST}/api/v5/public"
OPEN_INTEREST = get(f"{API}/open-interest", {"instType": "SWAP"}, fresh=5)
FUNDING = get(f"{API}/funding-rate", {"instId": "ANY"}, fresh=5, weight=2)
MARKS = get(f"{API}/mark-price", {"instType": "SWAP"}, fresh=5, weight=2, optional=True)


def instruments(kind: str, *, required: bool = False) -> Call:
    """The list of instruments of a type (SWAP, FUTURES, SPOT); it changes by the day."""
    return get(
        f"{API}/instruments",
        {"instType": kind},
        fresh=DAY,
        reference=True,
        optional=not required,
    )


def open_interest_of(symbol: str) -> Call:
    """Open interest of one swap, for when the bulk answer is refused."""
    params: dict[str, str | int] = {"instType": "SWAP", "instId": symbol}
    return get(f"{API}/open-interest", params, fresh=5, optional=True)


def funding_of(symbol: str) -> Call:
    """The funding rate of one swap, for when the bulk answer is refused."""
    return get(f"{API}/funding-rate", {"instId": symbol}, fresh=5, weight=2, optional=True)


class Okx(Venue):
    """OKX's perpetual swaps."""

    id = "okx"
    name = "OKX"
    kind = "cex"
    aliases = ("OKEX", "OKX_SWAP", "OKEX_SWAP", "OKEX_FUTURES", "okex5", "okex-options")
    hosts = (HOST,)
    # 20 requests in 2 s for each path; the paths that allow 10 weigh 2.
    meters = (Meter((HOST,), 20, 2),)
    data_source = "OKX v5 public REST"
    docs = "https://www.okx.com/docs-v5/en/"
    notes = ("Open interest as the venue publishes it, taken as one-sided.",)

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors come with HTTP 200 (or 400) and a code other than "0"."""
        if status not in (200, 400):
            return None
        code = _CODE.search(body[:200])
        return None if code is None or not int(code[1]) else _refused(int(code[1]))

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """Linear and inverse swaps of each coin, summed; marks are asked only where needed."""
        wires, listed = await _bulk_or_single(ask, OPEN_INTEREST, open_interest_of, _all_swaps)
        if not wires:
            return ask.pick({})
        first, more = wires[0], wires[1:]
        marks = NOTHING
        if ask.wants(first.parsed(find_unpriced, more, listed)):
            (marks,) = await ask.all(MARKS)
        rows, silent, bad = first.parsed(parse_open_interest, more, listed, marks)
        ask.unread(bad)
        _note_gaps(ask, rows, silent, listed, "open interest")
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The running rate of each coin's main swap."""
        wires, listed = await _bulk_or_single(ask, FUNDING, funding_of, _main_swap)
        if not wires:
            return ask.pick({})
        rows, silent, bad = wires[0].parsed(parse_funding, wires[1:], listed)
        ask.unread(bad)
        _note_gaps(ask, rows, silent, listed, "funding rate")
        return ask.pick(rows)

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

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every live swap, dated future and spot pair; options are not listed here."""
        wires = await ask.all(
            instruments("SWAP", required=True), instruments("FUTURES"), instruments("SPOT")
        )
        rows: list[MarketRow] = []
        for wire in filter(None, wires):
            found, bad = wire.parsed(parse_markets)
            ask.unread(bad)
            rows += found
        return list(dict.fromkeys(rows))


async def _bulk_or_single(
    ask: Ask,
    bulk: Call,
    single: Callable[[str], Call],
    choose: Callable[[Wire, str], list[str]],
) -> tuple[tuple[Wire, ...], Wire]:
    """The bulk answer with the list of swaps; if it is refused, what was asked swap by swap."""
    try:
        wire, listed = await ask.all(bulk, instruments("SWAP"))
    except (Unrecorded, VenueRejected):
        if ask.coins is None:
            raise
        (listed,) = await ask.all(instruments("SWAP"))
        symbols = [symbol for coin in ask.coins for symbol in choose(listed, coin)]
        wires = tuple(filter(None, await ask.all(*map(single, symbols))))
        if not wires and (symbols or not listed):
            raise
        return wires, listed
    return (wire,), listed


def _all_swaps(listed: Wire, coin: str) -> list[str]:
    """The swaps of a coin; none while the list cannot be had, for a sum needs them all."""
    contracts = listed.parsed(parse_contracts)[0] if listed else {}
    return [c.symbol for c in contracts.values() if c.coin == coin]


def _main_swap(listed: Wire, coin: str) -> list[str]:
    """The swap that speaks for a coin."""
    if not listed:
        return [f"{coin}-USDT-SWAP"] if is_surely_coin(coin) else []
    same = [c for c in listed.parsed(parse_contracts)[0].values() if c.coin == coin]
    same.sort(key=lambda c: ((*USDT_FIRST, c.rank_key).index(c.rank_key), c.symbol))
    return [c.symbol for c in same[:1]]


def _note_gaps(
    ask: Ask, rows: Mapping[str, object], silent: dict[str, list[str]], listed: Wire, what: str
) -> None:
    """Say which swaps that are listed gave nothing; by name while they are few."""
    coins = ask.wants(silent)
    symbols = [symbol for coin in coins for symbol in silent[coin]]
    named = ", ".join(symbols) if len(symbols) <= 6 else f"{len(symbols)} listed swaps"
    for coin in coins:
        ask.short(f"changed: no {what} for {named}", coin=coin)
    for coin in ask.coins or ():
        if not listed and coin not in rows:
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
