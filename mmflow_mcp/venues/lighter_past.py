"""What Lighter's perpetuals paid, hour by hour.

https://apidocs.lighter.xyz/reference/fundings

The third of its units of funding: `rate` is percent per hour without a sign, and `direction` is
who paid. Times are seconds. How many rows a page holds is said to be 100 and was seen to be 750,
so what a page lacks is asked again.
"""

from collections.abc import Mapping
from typing import Any

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueError
from mmflow_mcp.rows.history import FundingPast
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract, rank_of
from mmflow_mcp.venues.fields import amount, each, member, rate
from mmflow_mcp.venues.settlements import Payment, tell_past
from mmflow_mcp.venues.shares import stamp
from mmflow_mcp.venues.windows import (
    Page,
    coin_of,
    fresh_after,
    note_cut,
    page_call,
    pages_of,
    window_of,
)

API = "https://mainnet.zklighter.elliot.ai/api/v1"
HOURS, PAGES = 720, 6
# Of 60 requests a minute for everything.
MAX_REQUESTS = 12
# The hundredth part of what is told in ten digits.
_DIGITS = 12
_SIGNS = {"long": 1, "short": -1}


def fundings(market_id: int, page: Page) -> Call:
    """The hours of a market from the beginning of a page to before its end."""
    params: dict[str, str | int] = {"market_id": market_id, "resolution": "1h"}
    params |= {"start_timestamp": page.since_ms // 1000, "end_timestamp": page.until_ms // 1000}
    return page_call(f"{API}/fundings", {**params, "count_back": 0}, page)


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
    window, coin = window_of(ask), coin_of(ask)
    ask.universe = {contract.coin: contract for contract in markets}
    main = min((one for one in markets if one.coin == coin), key=rank_of, default=None)
    if main is None:
        return []
    hours = window.snapped(HOUR_MS)
    pages = pages_of(hours, HOURS * HOUR_MS, PAGES, ask.now_ms)
    note_cut(ask, hours, pages, f"settled rates of {main.symbol}")
    told = await _collect(ask, markets[main], pages)
    return tell_past(ask, main, told, window)


async def _collect(ask: Ask, market_id: int, pages: list[Page]) -> list[Payment]:
    """The hours of all pages; of a page that came cut, the rest is asked for."""
    payments: list[Payment] = []
    waiting = list(pages)
    unread = 0
    for n in range(MAX_REQUESTS):
        if not waiting:
            break
        page = waiting.pop(0)
        try:
            wire = await ask.get(fundings(market_id, page))
        except VenueError as error:
            if n == 0:
                raise
            ask.short(f"{error.reason} (fundings)")
            break
        found, bad = wire.parsed(parse_fundings)
        unread += bad
        payments += found
        waiting = [*_rest_of(page, [payment.ts for payment in found], ask.now_ms), *waiting]
    else:
        if waiting:
            ask.short(f"missing: fundings that {MAX_REQUESTS} requests did not bring")
    ask.unread(unread)
    return payments


def _rest_of(page: Page, times: list[int], now_ms: int) -> list[Page]:
    """What of a page is asked for and did not come with these rows; none: it is whole."""
    inside = [at for at in times if page.since_ms <= at < page.until_ms]
    if not inside:
        return []
    rest = [(max(inside) + HOUR_MS, page.until_ms), (page.since_ms, min(inside))]
    # The hour that has just passed may not be told yet.
    return [
        Page(since, until, fresh_after(until, now_ms), older=True)
        for since, until in rest
        if until - since >= HOUR_MS and since < now_ms - HOUR_MS
    ]
