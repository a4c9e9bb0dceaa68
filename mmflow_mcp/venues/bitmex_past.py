"""What BitMEX's perpetuals paid, as recordings of it show.

https://www.bitmex.com/api/explorer/#!/Funding/Funding_get

Every row tells its period itself, in BitMEX's way of writing a length of time: a day in 2016,
eight hours later.
"""

from collections.abc import Mapping
from typing import Any

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.errors import VenueError
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.wire import HOUR, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.bitmex_moments import read_hours, read_moment, write_moment
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import each, rate
from mmflow_mcp.venues.settlements import (
    Payment,
    Window,
    coin_of,
    span_of,
    tell_cut,
    tell_past,
    windows,
)
from mmflow_mcp.venues.singles import ask_singly

URL = "https://www.bitmex.com/api/v1/funding"
# 480 settlements of every eight hours, of 500 in a page.
WINDOW_MS = 160 * DAY_MS
MAX_WINDOWS = 7


def forms_of(symbol: str, window: Window) -> tuple[Call, ...]:
    """The settlements of a window, or what recorders asked for in its place: all of them."""
    params: dict[str, str | int] = {"symbol": symbol, "count": 500}
    params |= {"startTime": write_moment(window.start), "endTime": write_moment(window.end)}
    return get(URL, params, fresh=HOUR), get(URL, fresh=HOUR)


def parse_fundings(wire: Wire, symbol: str) -> tuple[list[Payment], int]:
    """What the longs of a perpetual paid at each settlement, and the bad rows."""

    def read(row: dict[str, Any]) -> Payment | None:
        if row["symbol"] != symbol:
            return None
        hours = read_hours(row["fundingInterval"])
        if not 0 < hours <= 24:
            msg = "not a funding period"
            raise ValueError(msg)
        return Payment(read_moment(row["timestamp"]), rate(row["fundingRate"]), hours)

    return each(wire.doc, read)


async def ask_funding_history(ask: Ask, mains: Mapping[str, str]) -> list[FundingPast]:
    """The settlements of a coin's main perpetual; `mains`: symbols by coin."""
    span, coin = span_of(ask), coin_of(ask)
    ask.universe = mains
    if coin not in mains:
        return []
    symbol = mains[coin]
    pages, first = windows(span, WINDOW_MS, MAX_WINDOWS)
    tell_cut(ask, "funding", symbol, first, span)
    singles = await ask_singly(
        ask, {write_moment(page.start): forms_of(symbol, page) for page in pages}
    )
    payments: list[Payment] = []
    for wire in singles.found.values():
        found, bad = wire.parsed(parse_fundings, symbol)
        ask.unread(bad)
        payments += found
    _tell_failed(ask, list(singles.failed.values()), whole=not singles.found)
    contract = Contract(symbol, coin, 1, "USD")
    return tell_past(ask, contract, payments, singles.found.values(), span)


def _tell_failed(ask: Ask, failed: list[VenueError], *, whole: bool) -> None:
    for error in failed:
        if whole:
            raise error
        ask.short(f"{error.reason} (funding)")
