"""Deribit: BTC and ETH perpetuals settled in the coin, linear ones in USDC, and options.

https://docs.deribit.com/#public-get_book_summary_by_currency

One summary per settlement currency and kind carries everything. `open_interest` comes in three
units: USD for inverse perpetuals and futures, coins for linear ones, coins for options; none of
them is in contracts. Funding accrues without pause: there is no settlement time.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from mmflow_mcp.errors import VenueError, VenueHttp, VenueRateLimited, VenueRejected
from mmflow_mcp.rows import FundingRow, MarketRow, OpenInterestRow, OptionChain
from mmflow_mcp.rows.candles import CandleSeries, OrderBook
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, HOUR, NOTHING, WEEK, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.candle_series import ask_candles
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.deribit_candles import BOOKS, CANDLES, main_of, takes_list
from mmflow_mcp.venues.deribit_chain import INDEX, count_lonely, parse_chain
from mmflow_mcp.venues.deribit_liquidations import closing_rule
from mmflow_mcp.venues.deribit_names import INVERSE, LINEAR, read_kind
from mmflow_mcp.venues.deribit_past import ask_funding_history
from mmflow_mcp.venues.deribit_perps import (
    listed_perpetuals,
    names_of,
    parse_funding,
    parse_open_interest,
    read_times,
)
from mmflow_mcp.venues.feeds import ClosingRule
from mmflow_mcp.venues.fields import each, member
from mmflow_mcp.venues.moments import are_apart, note_apart
from mmflow_mcp.venues.order_books import ask_books
from mmflow_mcp.venues.singles import REFUSALS, ask_singly, ask_some, tells_refusal

HOST = "www.deribit.com"
API = f"https://{HOST}/api/v2/public"


@cache
def summary(currency: str, kind: str | None, *, optional: bool = False) -> Call:
    """Every live instrument of a settlement currency and kind (future holds the perpetuals)."""
    params: dict[str, str | int] = {"currency": currency}
    if kind:
        params["kind"] = kind
    return get(f"{API}/get_book_summary_by_currency", params, fresh=5, optional=optional)


@cache
def forms_of(name: str) -> tuple[Call, ...]:
    """One perpetual: its ticker, or its summary, which some clients ask with the kind as well."""
    params: dict[str, str | int] = {"instrument_name": name}
    return (
        get(f"{API}/ticker", params, fresh=5),
        get(f"{API}/get_book_summary_by_instrument", params, fresh=5),
        get(f"{API}/get_book_summary_by_instrument", {**params, "kind": "future"}, fresh=5),
    )


@cache
def index_price(underlying: str) -> Call:
    """The spot index of an underlying; the chain often carries it already."""
    params: dict[str, str | int] = {"index_name": INDEX[underlying]}
    return get(f"{API}/get_index_price", params, fresh=5, optional=True)


class Deribit(Venue):
    """Perpetuals and whole option chains of Deribit."""

    id = "deribit"
    name = "Deribit"
    kind = "cex"
    aliases = ("deribit-options", "deribit-perp")
    hosts = (HOST,)
    always = ("BTC", "ETH")
    # 20 requests a second are published for accounts and nothing for others: 5 a second.
    meters = (Meter((HOST,), 30, 6),)
    data_source = "Deribit public JSON-RPC over REST"
    docs = "https://docs.deribit.com/"
    default_coins = INVERSE
    notes = (
        "Funding is what accrued over the last 8 hours (trailing); it has no settlement time.",
        (
            "Open interest of BTC and ETH adds the inverse and the USDC perpetual; dated futures"
            " and options are not in it."
        ),
        "Option premiums are in coins for BTC and ETH, in USDC for SOL and XRP.",
        "Candles of four hours are made of its hours.",
    )

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """Errors are JSON-RPC: {"error": {"code", "message"}}, mostly with HTTP 400."""
        # These statuses say more than a code does, and a 429 may carry Retry-After.
        if status in (403, 418, 429, 451) or b'"error"' not in body[:200]:
            return None
        code = _ERROR_CODE.search(body[:4096])
        return None if code is None else _refused(status, int(code[1]))

    async def open_interest(self, ask: Ask) -> list[OpenInterestRow]:
        """Inverse and linear perpetuals of each coin, one request per settlement currency."""
        lines, wires, lacking = await _futures(ask, linear_adds=True)
        rows, silent, bad = wires[0].parsed(parse_open_interest, wires[1:], lines, lacking)
        ask.unread(bad)
        _tell_silent(ask, silent)
        _tell_lacking(ask, wires, lacking, linear_adds=True)
        if are_apart(wires):
            note_apart(ask, rows, read_times(wires))
        return ask.pick(rows)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """The rate of the last 8 hours: inverse perpetual of BTC and ETH, linear ones else."""
        lines, wires, lacking = await _futures(ask, linear_adds=False)
        rows, silent, bad = wires[0].parsed(parse_funding, wires[1:], lines)
        ask.unread(bad)
        _tell_silent(ask, silent)
        _tell_lacking(ask, wires, lacking, linear_adds=False)
        return ask.pick(rows)

    async def funding_history(self, ask: Ask) -> list[FundingPast]:
        """What accrued hour by hour on the coin's main perpetual."""
        return await ask_funding_history(ask)

    async def option_chain(self, ask: Ask) -> list[OptionChain]:
        """The chain of one underlying, with the index it settles against, in one round."""
        underlying = ask.coins[0] if ask.coins else INVERSE[0]
        chains: dict[str, OptionChain] = {}
        if underlying not in INDEX:
            return ask.pick(chains)
        told = len(ask.shortfalls)
        currency = underlying if underlying in INVERSE else LINEAR
        try:
            options, index = await ask.all(summary(currency, "option"), index_price(underlying))
        except REFUSALS as refusal:
            options = await _any_kind(ask, currency, refusal)
            (index,) = await ask.all(index_price(underlying))
        chain = options.parsed(parse_chain, underlying, index)
        if not index and chain.index_price is not None:
            # The chain brought the index itself, so nothing is short without the other answer.
            del ask.shortfalls[told:]
        ask.unread(chain.dropped)
        if lonely := count_lonely(chain):
            # Calls and puts are listed together: what has no twin tells of rows that are not here.
            word = "option" if lonely == 1 else "options"
            ask.short(f"missing: the call or put beside {lonely} {word}", coin=underlying)
        chains[underlying] = chain
        return ask.pick(chains)

    async def candles(self, ask: Ask) -> list[CandleSeries]:
        """Candles of the inverse perpetual of BTC and ETH, of linear ones else."""
        return await ask_candles(ask, main_of(ask, await _listed(ask)), CANDLES)

    async def order_book(self, ask: Ask) -> list[OrderBook]:
        """Books of the same perpetuals."""
        return await ask_books(ask, main_of(ask, await _listed(ask)), BOOKS)

    def liquidation_feed(self) -> ClosingRule:
        """Trades of every perpetual that carry the flag."""
        return closing_rule(_ask_contracts)

    async def markets(self, ask: Ask) -> list[MarketRow]:
        """Every live perpetual, dated future and option, from the same summaries."""
        calls = [
            summary(currency, kind, optional=True)
            for kind in ("future", "option")
            for currency in (*INVERSE, LINEAR)
        ]
        rows: dict[str, MarketRow] = {}
        for wire in await ask_some(ask, calls):
            found, bad = wire.parsed(parse_markets) if wire else ([], 0)
            ask.unread(bad)
            rows.update((row.symbol, row) for row in found)
        return list(rows.values())


async def _ask_contracts(ask: Ask) -> dict[str, Contract]:
    """Every perpetual by its name."""
    found: dict[str, Contract] = {}
    for currency in (*INVERSE, LINEAR):
        wire = await ask.get(replace(summary(currency, "future"), fresh=HOUR, reference=True))
        found |= {one.symbol: one for one in listed_perpetuals(wire)[0]}
    return found


async def _listed(ask: Ask) -> Wire:
    """The summary of linear perpetuals as a list of what there is, where one is needed."""
    if not takes_list(ask):
        return NOTHING
    call = replace(summary(LINEAR, "future"), fresh=DAY, reference=True, keep=WEEK, optional=True)
    (wire,) = await ask.all(call)
    return wire


_ERROR_CODE = re.compile(rb'"code"\s*:\s*(-?\d+)')


def _refused(status: int, code: int) -> VenueError | None:
    if code in (10028, 10047):
        return VenueRateLimited(status, f"code {code}, too many requests")
    if code in (10040, 10041):
        # At the settlement of 08:00 UTC, for seconds.
        busy = VenueHttp(status, f"code {code}, the venue asks to try again shortly")
        busy.retryable = True
        return busy
    if code == 11051:
        return VenueHttp(status, f"code {code}, the venue is under maintenance")
    return None if status >= 500 else VenueRejected(f"rejected: code {code}")


def _lines(coins: tuple[str, ...] | None, *, linear_adds: bool) -> tuple[str, ...]:
    """The settlement currencies that hold what is asked.

    `linear_adds`: the linear perpetuals of BTC and ETH matter too (open interest; funding is that
    of the inverse one).
    """
    if coins is None:
        return (*INVERSE, LINEAR)
    own = tuple(coin for coin in INVERSE if coin in coins)
    more = linear_adds or any(coin not in INVERSE for coin in coins)
    return (*own, LINEAR) if more else own


async def _any_kind(ask: Ask, currency: str, refusal: VenueError) -> Wire:
    """The summary of all kinds of instruments in place of that of one. Raises the refusal else."""
    try:
        return await ask.get(summary(currency, None))
    except REFUSALS:
        raise refusal from None


async def _futures(
    ask: Ask, *, linear_adds: bool
) -> tuple[tuple[str, ...], tuple[Wire, ...], tuple[str, ...]]:
    """(currencies read, their answers, currencies that could not be had).

    A currency counts as read where only the perpetuals asked for were, one by one.
    """
    lines = _lines(ask.coins, linear_adds=linear_adds)
    refusal: VenueError | None = None
    told = len(ask.shortfalls)
    try:
        if len(lines) == 1:
            wires = [await ask.get(summary(lines[0], "future"))]
        else:
            wires = await ask_some(ask, [summary(line, "future", optional=True) for line in lines])
    except REFUSALS as error:
        refusal, wires = error, [NOTHING] * len(lines)
    had = {line: wire for line, wire in zip(lines, wires, strict=True) if wire}
    refused = refusal or any(tells_refusal(reason) for reason in ask.shortfalls[told:])
    more: tuple[Wire, ...] = ()
    if refused:
        whole = await ask_singly(
            ask, {line: (summary(line, None),) for line in lines if line not in had}
        )
        had |= whole.found
    if refused or had:
        more = await _singly(ask, had, refused=bool(refused), linear_adds=linear_adds)
    if refusal and not (had or more):
        raise refusal
    read = {*had, *(coin for coin in INVERSE if f"{coin}-PERPETUAL" in names_of(more))}
    lacking = tuple(line for line in lines if line not in read)
    return tuple(line for line in lines if line in read), (*had.values(), *more), lacking


async def _singly(
    ask: Ask, had: Mapping[str, Wire], *, refused: bool, linear_adds: bool
) -> tuple[Wire, ...]:
    """The perpetuals of the coins asked for that the summaries lack, one by one.

    Summaries that were had always hold the perpetuals of BTC and ETH; of other coins, all.
    """
    named = names_of(had.values())
    wanted: list[str] = []
    for coin in ask.coins or ():
        if coin in INVERSE and (coin in had or refused):
            wanted.append(f"{coin}-PERPETUAL")
        lost = coin in INVERSE if LINEAR in had else refused
        if lost and (linear_adds or coin not in INVERSE):
            wanted.append(f"{coin}_{LINEAR}-PERPETUAL")
    wanted = [name for name in wanted if name not in named]
    singles = await ask_singly(ask, {name: forms_of(name) for name in wanted})
    for name, failure in singles.unheard.items():
        ask.short(f"{failure.reason} ({name})")
    return tuple(singles.found.values())


def _tell_silent(ask: Ask, silent: dict[str, tuple[str, ...]]) -> None:
    for coin in ask.wants(silent):
        ask.short(f"missing: nothing readable of {', '.join(silent[coin])}", coin=coin)


def _tell_lacking(
    ask: Ask, wires: Iterable[Wire], lacking: tuple[str, ...], *, linear_adds: bool
) -> None:
    """A coin whose currency could not be read is not one that the venue does not list."""
    named = names_of(wires)
    for currency in lacking:
        for coin in ask.coins or ():
            own = coin if coin in INVERSE else LINEAR
            name = f"{coin}-PERPETUAL" if currency in INVERSE else f"{coin}_{LINEAR}-PERPETUAL"
            asked = currency == own or (linear_adds and currency == LINEAR)
            if asked and name not in named:
                ask.short(f"missing: no summary of {currency} perpetuals", coin=coin)


def parse_markets(wire: Wire) -> tuple[list[MarketRow], int]:
    """One summary's instruments; combinations are left out, their legs are listed themselves."""

    def read(row: dict[str, Any]) -> MarketRow | None:
        name = row["instrument_name"]
        known = read_kind(name)
        if known is None:
            return None
        kind, coin = known
        margin = "linear, USDC" if "_" in name else "inverse"
        words = {"perp": "perpetual", "future": "dated future"}.get(kind, kind)
        return MarketRow("deribit", name, coin, kind, f"{name} {words} ({margin})")

    return each(member(wire.doc, "result"), read)
