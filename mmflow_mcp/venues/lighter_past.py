"""What Lighter's perpetuals paid, hour by hour.

https://apidocs.lighter.xyz/reference/fundings

The third of its units of funding: `rate` is percent per hour without a sign, and `direction` is
who paid. Times are seconds. How many rows a page holds is said to be 100 and was seen to be 750,
so what a page lacks is asked again.
"""

from collections.abc import Mapping
from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.errors import VenueError
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import amount, each, member, rate
from mmflow_mcp.venues.settlements import (
    Payment,
    Span,
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

API = "https://mainnet.zklighter.elliot.ai/api/v1"
WINDOW_MS = 30 * DAY_MS
MAX_WINDOWS = 6
# Of 60 requests a minute for everything.
MAX_REQUESTS = 12
# The hundredth part of what is told in ten digits.
_DIGITS = 12
_SIGNS = {"long": 1, "short": -1}


def fundings(market_id: int, window: Window, now_ms: int) -> Call:
    """The hours of a market from the beginning of a window to before its end."""
    params: dict[str, str | int] = {"market_id": market_id, "resolution": "1h"}
    params |= {"start_timestamp": window.start // 1000, "end_timestamp": window.end // 1000}
    return get(
        f"{API}/fundings", {**params, "count_back": 0}, fresh=fresh_after(window.end, now_ms)
    )


def parse_fundings(wire: Wire) -> tuple[list[Payment], int]:
    """What was paid at each full hour, a fraction, positive where longs paid; and the bad rows.

    A rate with a sign of its own is not read: which of the two signs holds is not known.
    """
    rows = member(wire.doc, "fundings")

    def read(row: dict[str, Any]) -> Payment:
        percent = amount(row["rate"]) * _SIGNS[row["direction"]]
        return Payment(stamp(row["timestamp"]) * 1000, rate(round(percent / 100, _DIGITS)), 1)

    return each([] if rows is None else rows, read)


async def ask_funding_history(ask: Ask, markets: Mapping[Contract, int]) -> list[FundingPast]:
    """The hours of the coin's perpetual; `markets`: what is live, with its number."""
    span, coin = span_of(ask), coin_of(ask)
    ask.universe = {contract.coin: contract for contract in markets}
    main = main_contract(markets, coin)
    if main is None:
        return []
    pages, first = windows(span, WINDOW_MS, MAX_WINDOWS)
    tell_cut(ask, "funding", main.symbol, first, span)
    payments, wires = await _collect(ask, markets[main], pages, span)
    return tell_past(ask, main, payments, wires, span)


async def _collect(
    ask: Ask, market_id: int, pages: list[Window], span: Span
) -> tuple[list[Payment], list[Wire]]:
    """The hours of all windows; of a window that came cut, the rest is asked for."""
    payments: list[Payment] = []
    wires: list[Wire] = []
    waiting = list(pages)
    for _ in range(MAX_REQUESTS):
        if not waiting:
            return payments, wires
        window = waiting.pop(0)
        try:
            wire = await ask.get(fundings(market_id, window, span.now))
        except VenueError as error:
            if not wires:
                raise
            ask.short(f"{error.reason} (fundings)")
            return payments, wires
        found, bad = wire.parsed(parse_fundings)
        ask.unread(bad)
        wires.append(wire)
        payments += found
        waiting = [*_rest_of(window, [payment.ts for payment in found], span), *waiting]
    if waiting:
        ask.short(f"missing: fundings that {MAX_REQUESTS} requests did not bring")
    return payments, wires


def _rest_of(window: Window, times: list[int], span: Span) -> list[Window]:
    """What of a window is asked for and did not come with these rows; none: it is whole."""
    inside = [at for at in times if window.start <= at < window.end]
    if not inside:
        return []
    rest = [Window(max(inside) + HOUR_MS, window.end), Window(window.start, min(inside))]
    wanted = [
        Window(start, end)
        for start, end in rest
        if end - start >= HOUR_MS and end > span.since and start < min(span.until, span.now)
    ]
    # The hour that has just passed may not be told yet.
    return [page for page in wanted if page.start < span.now - HOUR_MS]
