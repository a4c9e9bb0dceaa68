"""What BitMEX's perpetuals paid, as recordings of it show.

https://www.bitmex.com/api/explorer/#!/Funding/Funding_get

Every row tells its period itself, in BitMEX's way of writing a length of time: a day in 2016,
eight hours later.
"""

from collections.abc import Mapping
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueError
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.wire import HOUR, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.bitmex_moments import read_hours, read_moment, write_moment
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import each, rate
from mmflow_mcp.venues.settlements import Payment, read_payments, tell_past
from mmflow_mcp.venues.singles import ask_singly
from mmflow_mcp.venues.windows import Page, coin_of, note_cut, pages_of, window_of

URL = "https://www.bitmex.com/api/v1/funding"
# 480 settlements of every eight hours, of 500 in a page.
HOURS, PAGES = 160 * 24, 7


def forms_of(symbol: str, page: Page) -> tuple[Call, ...]:
    """The settlements of a page, or what recorders asked for in its place: all of them."""
    params: dict[str, str | int] = {"symbol": symbol, "count": 500}
    params |= {"startTime": write_moment(page.since_ms), "endTime": write_moment(page.until_ms)}
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
    window, coin = window_of(ask), coin_of(ask)
    ask.universe = mains
    if coin not in mains:
        return []
    symbol = mains[coin]
    hours = window.snapped(HOUR_MS)
    pages = pages_of(hours, HOURS * HOUR_MS, PAGES, ask.now_ms)
    note_cut(ask, hours, pages, f"settled rates of {symbol}")
    singles = await ask_singly(
        ask, {write_moment(page.since_ms): forms_of(symbol, page) for page in pages}
    )
    told = read_payments(ask, singles.found.values(), parse_fundings, symbol)
    _tell_failed(ask, list(singles.failed.values()), whole=not singles.found)
    return tell_past(ask, Contract(symbol, coin, 1, "USD"), told, window)


def _tell_failed(ask: Ask, failed: list[VenueError], *, whole: bool) -> None:
    for error in failed:
        if whole:
            raise error
        ask.short(f"{error.reason} (funding)")
