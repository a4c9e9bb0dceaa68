"""What Deribit's perpetuals paid, hour by hour.

https://docs.deribit.com/#public-get_funding_rate_history

Funding accrues all the time and is told at every full hour in two sums: of that hour
(`interest_1h`) and of the eight before (`interest_8h`). Those of eight hours overlap: added up they
count each hour eight times. So the hours are what was settled, each for a period of one.
"""

from typing import Any

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.wire import DAY, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import INVERSE_FIRST, Contract
from mmflow_mcp.venues.deribit_names import INVERSE, LINEAR, read_perpetual
from mmflow_mcp.venues.fields import each, member, rate
from mmflow_mcp.venues.settlements import (
    Payment,
    Window,
    coin_of,
    fresh_after,
    main_contract,
    span_of,
    tell_cut,
    tell_past,
    windows,
)
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.singles import ask_some

API = "https://www.deribit.com/api/v2/public"
# 720 hours, of 744 in a page.
WINDOW_MS = 30 * DAY_MS
MAX_WINDOWS = 13
# The same request as for the linear perpetuals now; what is listed changes by the day.
LISTED = get(
    f"{API}/get_book_summary_by_currency",
    {"currency": LINEAR, "kind": "future"},
    fresh=DAY,
    reference=True,
)


def hours(symbol: str, window: Window, now_ms: int) -> Call:
    """The hours of one perpetual in a window; both ends are inclusive."""
    params: dict[str, str | int] = {"instrument_name": symbol}
    params |= {"start_timestamp": window.start, "end_timestamp": window.end}
    return get(
        f"{API}/get_funding_rate_history",
        params,
        fresh=fresh_after(window.end, now_ms),
        optional=True,
    )


def parse_hours(wire: Wire) -> tuple[list[Payment], int]:
    """What accrued in each hour, a fraction, at its end; and the bad rows."""

    def read(row: dict[str, Any]) -> Payment:
        return Payment(stamp(row["timestamp"]), rate(row["interest_1h"]), 1)

    return each(member(wire.doc, "result"), read)


def parse_perpetuals(wire: Wire) -> tuple[tuple[Contract, ...], int]:
    """The perpetuals among the futures of a summary, and the bad rows."""
    found, bad = each(
        member(wire.doc, "result"), lambda row: read_perpetual(row["instrument_name"])
    )
    return tuple(found), bad


async def ask_funding_history(ask: Ask) -> list[FundingPast]:
    """The hours of the inverse perpetual of BTC and ETH, of the linear one else."""
    span, coin = span_of(ask), coin_of(ask)
    own = [Contract(f"{name}-PERPETUAL", name, 1, "USD", "inverse") for name in INVERSE]
    if coin not in INVERSE:
        linear, bad = (await ask.get(LISTED)).parsed(parse_perpetuals)
        ask.unread(bad)
        own += linear
    ask.universe = {contract.coin: contract for contract in own}
    main = main_contract(own, coin, INVERSE_FIRST)
    if main is None:
        return []
    pages, first = windows(span, WINDOW_MS, MAX_WINDOWS)
    tell_cut(ask, "funding", main.symbol, first, span)
    calls = [hours(main.symbol, page, span.now) for page in pages]
    wires = await ask_some(ask, calls) if calls else []
    payments: list[Payment] = []
    for wire in filter(None, wires):
        found, unread = wire.parsed(parse_hours)
        ask.unread(unread)
        payments += found
    return tell_past(ask, main, payments, wires, span)
