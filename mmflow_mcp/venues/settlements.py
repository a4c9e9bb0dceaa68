"""What a perpetual paid, as venues tell it: each settlement once, in order, with its own period.

A symbol's period changes over time (8 hours, then 4, then 1), and most venues do not tell it beside
a past rate: the time between two settlements does. A row that is missing must not pass for a
longer period, so a spacing counts only where a neighbour has the same one.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.rows.history import FundingPast, SettledRate
from mmflow_mcp.upstream.wire import HOUR, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import USDT_FIRST, Contract

USUAL_COIN = "BTC"
# Rows so long before and after the time asked for tell the periods at its edges.
MARGIN_MS = DAY_MS
# Settlements are written down a few seconds beside the hour.
JITTER_MS = 60_000
_NEW_S = 60.0
_OLD_S = 6 * HOUR
# Rows may be late by so much.
_LATE_S = 120.0


class Payment(NamedTuple):
    """A rate as one row tells it: a fraction, longs paid when positive; `hours` where told."""

    ts: int
    rate: float
    hours: float | None = None


class Span(NamedTuple):
    """From when (inclusive) to when (exclusive), epoch ms; `now` is when it was asked."""

    since: int
    until: int
    now: int

    def widened(self, by_ms: int = MARGIN_MS) -> "Span":
        """The same with a margin on both sides, not beyond the present."""
        return Span(max(0, self.since - by_ms), min(self.until + by_ms, self.now + 1), self.now)


class Window(NamedTuple):
    """One page's share of a span, on a grid of its own so that equal questions share it."""

    start: int
    end: int


def span_of(ask: Ask, usual_ms: int = DAY_MS) -> Span:
    """What a question about the past is about; the last day, or so much, where it does not say."""
    now = ask.now_ms
    until = min(int(ask.options.get("until_ms", now + 1)), now + 1)
    return Span(max(0, int(ask.options.get("since_ms", until - usual_ms))), until, now)


def coin_of(ask: Ask) -> str:
    """The one coin that a question about the past is about."""
    return (ask.coins or (USUAL_COIN,))[0]


def windows(span: Span, length_ms: int, most: int) -> tuple[list[Window], int]:
    """The pages that cover a span, newest first, and from when on; `most` of them at most.

    The newest ends with the running hour at the latest: venues are not asked about the future.
    """
    if span.since >= span.until:
        return [], span.since
    first, last = span.since // length_ms, (span.until - 1) // length_ms
    first = max(first, last - most + 1)
    stop = (span.now // HOUR_MS + 1) * HOUR_MS
    pages = [
        Window(page * length_ms, min((page + 1) * length_ms, stop))
        for page in range(last, first - 1, -1)
    ]
    return pages, max(span.since, pages[-1].start)


def fresh_after(end_ms: int, now_ms: int) -> float:
    """Seconds of age at which an answer about the time before `end_ms` still serves.

    One that was read after it has all of it, late rows included.
    """
    return min(_OLD_S, max(_NEW_S, (now_ms - end_ms) / 1000 - _LATE_S))


def date_of(at_ms: int) -> str:
    """2026-11-29 07:00 UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def main_contract(
    contracts: Iterable[Contract], coin: str, order: Sequence[str] = USDT_FIRST
) -> Contract | None:
    """The contract that speaks for a coin's funding, as `main_perpetuals` chooses among rows."""

    def rank(contract: Contract) -> tuple[int, int, str]:
        key = contract.rank_key
        place = order.index(key) if key in order else len(order)
        return place, contract.multiplier, contract.symbol

    return min((one for one in contracts if one.coin == coin), key=rank, default=None)


def snap(ts: int) -> int:
    """The whole hour, when it is less than a minute away."""
    hour = (ts + HOUR_MS // 2) // HOUR_MS * HOUR_MS
    return hour if abs(ts - hour) <= JITTER_MS else ts


def period_of(before: int | None, gap: int | None, after: int | None) -> int | None:
    """Hours that a settlement paid for; None where the spacings do not tell.

    `gap`: whole hours since the settlement before it; `before` and `after`: the spacings on both
    sides of that one. None stands for one that is unknown, or no whole number of hours up to 24.
    """
    if gap is not None and gap in (before, after):
        return gap
    if before is not None and before == after and (gap is None or gap % before == 0):
        # Rows are missing in between.
        return before
    if gap is not None and before is not None and after is None and gap < before:
        # The newest settlement of a period that has become shorter: no missing row shortens.
        return gap
    return None


def _spacing(earlier: int, later: int) -> int | None:
    hours, rest = divmod(later - earlier, HOUR_MS)
    return hours if not rest and 1 <= hours <= 24 else None


def periods(times: Sequence[int]) -> list[float | None]:
    """The period of each of these settlements (ascending), hours; None where it is not told."""
    gaps = [_spacing(a, b) for a, b in pairwise(times)]
    found: list[float | None] = []
    for i in range(len(times)):
        before, gap, after = (gaps[n] if 0 <= n < len(gaps) else None for n in (i - 2, i - 1, i))
        if i == 0:
            # The first one of all: it takes the spacing that follows it, where that is sure.
            gap, after = after, gaps[1] if len(gaps) > 1 else None
        found.append(period_of(before, gap, after))
    return found


def settle(payments: Iterable[Payment], span: Span) -> tuple[tuple[SettledRate, ...], int]:
    """The settlements of a span, and how many of it have no period that could be told."""
    once = {snap(payment.ts): payment for payment in payments}
    times = sorted(once)
    spaced = periods(times)
    rates: list[SettledRate] = []
    unknown = 0
    for ts, spacing in zip(times, spaced, strict=True):
        if not span.since <= ts < span.until:
            continue
        hours = once[ts].hours or spacing
        if hours is None:
            unknown += 1
        else:
            rates.append(SettledRate(ts, once[ts].rate, hours))
    return tuple(rates), unknown


def tell_past(
    ask: Ask, contract: Contract, payments: Iterable[Payment], wires: Iterable[Wire], span: Span
) -> list[FundingPast]:
    """The row of a coin's main perpetual; what has no period is left out and told."""
    rates, unknown = settle(payments, span)
    if unknown:
        word = "settlement" if unknown == 1 else "settlements"
        ask.short(f"missing: the period of {unknown} {word} of {contract.symbol}")
    read_at = min((wire.fetched_at for wire in wires if wire), default=span.now)
    return [FundingPast(contract.coin, ask.venue, contract.symbol, rates, read_at)]


def tell_cut(ask: Ask, what: str, symbol: str, from_ms: int, span: Span) -> None:
    """Say that nothing before a moment was had."""
    if from_ms > span.since:
        ask.short(f"missing: {what} of {symbol} before {date_of(from_ms)}")
