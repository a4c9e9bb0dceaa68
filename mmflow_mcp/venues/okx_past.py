"""What OKX's swaps paid and held, as the venue keeps it.

https://www.okx.com/docs-v5/en/#public-data-rest-api-get-funding-rate-history

Everything is text, newest first; `after` asks for what is older. A settlement has two rates: the
one predicted last (`fundingRate`) and the one charged (`realizedRate`). Funding is kept for about
three months, open interest for three to five days, by the day for a hundred days.
"""

from typing import Any

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.errors import VenueChanged, VenueError
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import amount, each, member, rate
from mmflow_mcp.venues.interest_samples import (
    USUAL_MS,
    Cadence,
    Held,
    Samples,
    ask_samples,
    choose_cadence,
    held,
)
from mmflow_mcp.venues.okx_swaps import guess_contract, lost_of, parse_contracts, swaps_of
from mmflow_mcp.venues.settlements import (
    Payment,
    Span,
    Window,
    coin_of,
    fresh_after,
    span_of,
    tell_cut,
    tell_past,
)
from mmflow_mcp.venues.shares import stamp

API = "https://www.okx.com/api/v5"
PAGE = 100
# 1,000 settlements: three months of every 8 hours need three pages, 41 days of every hour ten.
MAX_PAGES = 10
# Points of a window, a few fewer than a page holds.
POINTS = 96
MAX_WINDOWS = 4
# Three swaps of a coin at 5 requests in 2 s: the finest cadence is for a day. Bars of a day begin
# on the UTC+8 clock unless they are named so.
CADENCES = (
    Cadence(5 * 60_000, "5m", 26 * HOUR_MS, 3 * DAY_MS),
    Cadence(15 * 60_000, "15m", 3 * DAY_MS, 3 * DAY_MS),
    Cadence(HOUR_MS, "1H", 8 * DAY_MS, 8 * DAY_MS),
    Cadence(DAY_MS, "1Dutc", 100 * DAY_MS),
)


def fundings(symbol: str, before_ms: int | None, now_ms: int) -> Call:
    """A page of settlements of one swap: the newest, or those before a moment.

    10 requests in 2 s.
    """
    params: dict[str, str | int] = {"instId": symbol, "limit": PAGE}
    if before_ms is not None:
        # The venue's word for records older than that.
        params["after"] = before_ms
    fresh = fresh_after(now_ms if before_ms is None else before_ms, now_ms)
    return get(f"{API}/public/funding-rate-history", params, fresh=fresh, weight=2)


def interest(symbol: str, cadence: Cadence, window: Window, now_ms: int) -> Call:
    """A window of samples of one swap; `end` is exclusive. 5 requests in 2 s."""
    params: dict[str, str | int] = {"instId": symbol, "period": cadence.name}
    # Whether `begin` is inclusive is not documented.
    params |= {"begin": window.start - 1, "end": window.end, "limit": PAGE}
    return get(
        f"{API}/rubik/stat/contracts/open-interest-history",
        params,
        fresh=fresh_after(window.end, now_ms),
        weight=4,
        optional=True,
    )


def _data(wire: Wire) -> list[Any]:
    if member(wire.doc, "code") != "0":
        raise VenueChanged("changed: the answer carries an error code")
    rows: list[Any] = member(wire.doc, "data")
    return rows


def parse_fundings(wire: Wire, symbol: str) -> tuple[list[Payment], int]:
    """What was charged at each settlement, and the bad rows. A prediction is never taken for it."""

    def read(row: dict[str, Any]) -> Payment | None:
        if row["instId"] != symbol:
            return None
        return Payment(stamp(row["fundingTime"]), rate(row["realizedRate"]))

    return each(_data(wire), read)


def parse_interest(wire: Wire, contract: Contract, cadence_ms: int) -> tuple[Samples, int]:
    """Rows are [time, contracts, coins, USD]; the newest is still forming and is left out."""

    def read(row: list[Any]) -> tuple[int, Held] | None:
        at = stamp(row[0])
        if at + cadence_ms > wire.fetched_at:
            return None
        amount(row[1])
        usd = amount(row[3]) if len(row) > 3 and row[3] != "" else None
        return at, held(amount(row[2]) * contract.multiplier, usd)

    found, bad = each(_data(wire), read)
    return dict(found), bad


def _swaps(ask: Ask, listed: Wire, coin: str) -> list[Contract]:
    """The swaps of a coin, the main one first; says so where nobody knows whether it has any."""
    known = listed.parsed(parse_contracts)[0] if listed else {}
    found = [known.get(symbol) or guess_contract(symbol) for symbol in swaps_of(listed, coin)]
    ask.universe = {contract.coin: contract for contract in (*known.values(), *filter(None, found))}
    if not found and (not listed or lost_of(listed)):
        ask.short(f"missing: nothing of {coin} without the list of swaps", coin=coin)
    return [contract for contract in found if contract is not None]


async def ask_funding_history(ask: Ask, listed: Wire) -> list[FundingPast]:
    """What the coin's main swap was charged, page by page from the newest back."""
    span, coin = span_of(ask), coin_of(ask)
    swaps = _swaps(ask, listed, coin)
    if not swaps:
        return []
    wide = span.widened()
    payments, wires = await _walk(ask, swaps[0].symbol, wide)
    first = min((payment.ts for payment in payments), default=span.until)
    if first > span.since + DAY_MS:
        tell_cut(ask, "funding", swaps[0].symbol, first, span)
    return tell_past(ask, swaps[0], payments, wires, span)


async def _walk(ask: Ask, symbol: str, span: Span) -> tuple[list[Payment], list[Wire]]:
    """Settlements of one swap back to where the span begins, as far as the pages reach."""
    payments: list[Payment] = []
    wires: list[Wire] = []
    # Whole days, so that questions about the same past share their pages.
    before = -(-span.until // DAY_MS) * DAY_MS if span.until < span.now else None
    for _ in range(MAX_PAGES):
        try:
            wire = await ask.get(fundings(symbol, before, span.now))
        except VenueError as error:
            if not wires:
                raise
            ask.short(f"{error.reason} (funding-rate-history)")
            break
        found, bad = wire.parsed(parse_fundings, symbol)
        ask.unread(bad)
        wires.append(wire)
        payments += found
        oldest = min((payment.ts for payment in found), default=0)
        if len(found) + bad < PAGE or oldest <= span.since or oldest == before:
            break
        before = oldest
    return payments, wires


async def ask_open_interest_history(ask: Ask, listed: Wire) -> list[OpenInterestPast]:
    """Samples of every swap of the coin, summed."""
    span, coin = span_of(ask, USUAL_MS), coin_of(ask)
    swaps = _swaps(ask, listed, coin)
    if not swaps:
        return []
    if lost := lost_of(listed):
        ask.short(f"missing: the list of swaps lacks {', '.join(lost)}")
    cadence = choose_cadence(span, CADENCES)
    return await ask_samples(
        ask,
        coin,
        swaps,
        cadence,
        span,
        points=POINTS,
        most=MAX_WINDOWS,
        call=lambda swap, page: interest(swap.symbol, cadence, page, span.now),
        read=lambda swap, wire: wire.parsed(parse_interest, swap, cadence.ms),
    )
