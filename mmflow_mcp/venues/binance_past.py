"""Open interest of the past as Binance keeps it: 30 days, one-sided, contract by contract.

https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Open-Interest-Statistics

On USD-M the sum is in units of the base asset and its value in USD. On COIN-M a pair is asked, the
sum is in contracts and its value in coins.
"""

from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.rows.history import OpenInterestPast, PastInterest
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fapi import Line, exchange_info
from mmflow_mcp.venues.fapi_past import note_lists
from mmflow_mcp.venues.fapi_perps import listed_places
from mmflow_mcp.venues.fapi_rows import Place
from mmflow_mcp.venues.fields import amount, each, member, ms
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.singles import ask_some
from mmflow_mcp.venues.strands import Strand, on_grid, past_of, point
from mmflow_mcp.venues.windows import (
    MINUTE_MS,
    Page,
    Window,
    cadence_of,
    pages_of,
    say,
    window_of,
)

PERIODS = {
    5 * MINUTE_MS: "5m",
    15 * MINUTE_MS: "15m",
    30 * MINUTE_MS: "30m",
    HOUR_MS: "1h",
}
KEPT_MS = 30 * DAY_MS
ROWS, PAGES = 500, 2
# These paths weigh nothing and allow 1,000 requests in 5 minutes: a twelfth of the weight's pace.
WEIGHT = 12


def interest_hist(place: Place, cadence_ms: int, page: Page) -> Call:
    """One page of a contract's open interest."""
    line, contract = place
    asked: dict[str, str | int] = {"symbol": contract.symbol}
    if contract.margin == "inverse":
        asked = {"pair": pair_of(contract), "contractType": "PERPETUAL"}
    times = {"startTime": page.since_ms, "endTime": page.until_ms - 1}
    return get(
        f"{line.api.rsplit('/', 2)[0]}/futures/data/openInterestHist",
        {**asked, "period": PERIODS[cadence_ms], **times, "limit": ROWS},
        fresh=page.fresh,
        weight=WEIGHT,
        label=f"{line.prefix}openInterestHist",
        optional=True,
    )


def pair_of(contract: Contract) -> str:
    """BTCUSD of BTCUSD_PERP."""
    return contract.symbol.removesuffix("_PERP")


def parse_interest(
    wire: Wire, contract: Contract, cadence_ms: int
) -> tuple[list[PastInterest], int]:
    """The points of one page. A row of another contract, or of all of a pair, is a bad one."""
    inverse = contract.margin == "inverse"
    name = ("pair", pair_of(contract)) if inverse else ("symbol", contract.symbol)

    def read(row: dict[str, Any]) -> PastInterest:
        if row[name[0]] != name[1] or (inverse and row["contractType"] != "PERPETUAL"):
            msg = "another contract's open interest"
            raise ValueError(msg)
        held, value = amount(row["sumOpenInterest"]), amount(row["sumOpenInterestValue"])
        at = on_grid(stamp(row["timestamp"]), cadence_ms)
        if inverse:
            return point(at, value, held * contract.size)
        return point(at, held * contract.multiplier, value)

    return each(wire.doc, read)


def parse_births(listed: Wire) -> dict[str, int]:
    """When each contract was listed, epoch ms, where that is told."""

    def read(row: dict[str, Any]) -> tuple[str, int] | None:
        at = ms(row.get("onboardDate"))
        return None if at is None else (str(row["symbol"]), at)

    return dict(each(member(listed.doc, "symbols"), read, tolerate=1)[0])


async def ask_interest_history(ask: Ask, lines: tuple[Line, ...]) -> list[OpenInterestPast]:
    """All live perpetuals of the coin, summed; as fine as two pages of each allow."""
    coin = (ask.coins or ("BTC",))[0]
    lists = await ask.all(*map(exchange_info, lines))
    books, places = listed_places(ask, lines, lists, coin)
    note_lists(ask, books, coin, places, "open interest")
    if not places:
        return []
    window = _kept(ask, window_of(ask))
    cadence = cadence_of(window, tuple(PERIODS), ROWS, PAGES)
    pages = pages_of(window.snapped(cadence), ROWS * cadence, PAGES, ask.now_ms)
    asked = [(place, page) for place in places for page in pages]
    wires = await ask_some(ask, [interest_hist(place, cadence, page) for place, page in asked])
    births: dict[str, int] = {}
    for book in books:
        births |= book.listed.parsed(parse_births) if book.listed else {}
    found: dict[str, dict[int, PastInterest]] = {place[1].symbol: {} for place in places}
    for (place, _), wire in zip(asked, wires, strict=True):
        if wire:
            points, bad = wire.parsed(parse_interest, place[1], cadence)
            ask.unread(bad)
            found[place[1].symbol] |= {one.ts: one for one in points}
    strands = [Strand(symbol, points, births.get(symbol)) for symbol, points in found.items()]
    return past_of(ask, coin, strands, window, cadence, wires)


def _kept(ask: Ask, window: Window) -> Window:
    """The part of a window that the venue still has."""
    oldest = ask.now_ms - KEPT_MS
    if window.since_ms >= oldest:
        return window
    ask.short(f"missing: open interest before {say(oldest)}, the venue keeps 30 days")
    return Window(oldest, max(oldest, window.until_ms))
