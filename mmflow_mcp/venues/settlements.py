"""Settled funding rates: when each was paid, and for how many hours.

A symbol's period changes over time, and no venue tells it beside its settled rates: it is the time
since the settlement before. Venues stamp settlements some ms off their hour.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.rows.history import FundingPast, SettledRate
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.singles import ask_some
from mmflow_mcp.venues.windows import MINUTE_MS, Page, Window, note_cut, pages_of, window_of

# The lengths of period in use, hours. Nothing else is one: not the time over a missed settlement.
PERIODS = (1, 2, 4, 8)
_LONGEST_MS = max(PERIODS) * HOUR_MS

# A settlement as it was told: epoch ms, and the rate.
Told = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Settled:
    """Rates in order, and how many of the window could not be used."""

    rates: tuple[SettledRate, ...]
    lost: int


def reach(window: Window, now_ms: int) -> Window:
    """The whole hours to ask for, so that what is paid in a window has its neighbours beside it.

    Two settlements before it and one after, up to the present, tell a period from a gap. A window
    that is empty stays so.
    """
    if window.since_ms >= window.until_ms:
        return Window(window.since_ms, window.since_ms)
    hours = Window(window.since_ms // HOUR_MS * HOUR_MS, window.until_ms).snapped(HOUR_MS)
    present = Window(0, now_ms).snapped(HOUR_MS).until_ms
    until = max(hours.until_ms, min(hours.until_ms + _LONGEST_MS, present))
    return Window(max(0, hours.since_ms - 2 * _LONGEST_MS), until)


def settle(
    told: Iterable[Told],
    window: Window,
    listed: float | None = None,
    periods: Sequence[int] = PERIODS,
) -> Settled:
    """Each settlement of the window once, with the period that it ended.

    `listed`: the hours of the symbol's period as it is now, where the venue lists them.
    """
    rates, odd, lost = _by_hour(told, window)
    times = sorted(rates)
    gaps = [None, *((late - early) // HOUR_MS for early, late in pairwise(times)), None]
    made: list[SettledRate] = []
    for i, at in enumerate(times):
        if at not in window:
            continue
        around = Around(gaps[max(i - 1, 0)], gaps[i], gaps[i + 1])
        hours = None if at in odd else period_of(around, listed, periods)
        if hours is None:
            lost += 1
        else:
            made.append(SettledRate(at, rates[at], float(hours)))
    return Settled(tuple(made), lost)


def _by_hour(told: Iterable[Told], window: Window) -> tuple[dict[int, float], set[int], int]:
    """Rates by full hour, the hours with two different rates, and how many belong to no hour."""
    rates: dict[int, float] = {}
    odd: set[int] = set()
    lost = 0
    for at, rate in told:
        hour = (at + HOUR_MS // 2) // HOUR_MS * HOUR_MS
        if abs(at - hour) > MINUTE_MS:
            lost += at in window
        elif rates.setdefault(hour, rate) != rate:
            odd.add(hour)
    return rates, odd, lost


@dataclass(frozen=True, slots=True)
class Around:
    """Hours between settlements: the one before last to the last, the last to this, this to next.

    None where there is no such settlement.
    """

    before: int | None
    own: int | None
    after: int | None


def period_of(around: Around, listed: float | None, periods: Sequence[int]) -> float | None:
    """The hours that a settlement was for; None where they cannot be known.

    The time since the settlement before, unless one is missing between them: then it is no period,
    or stands alone as a longer one among shorter ones. Its neighbours speak for it where they
    agree, else the period that is listed where it is one of theirs.
    """
    before, own, after = around.before, around.own, around.after
    near = {hours for hours in (before, after) if hours in periods}
    if own in periods:
        # What is listed stands for what has not been settled yet.
        coming = after if after is not None else listed
        if before is None or before != coming or own is None or own <= before:
            return own
        return before
    if len(near) == 1:
        return near.pop()
    return listed if listed in (near or periods) else None


@dataclass(frozen=True, slots=True)
class Series:
    """How a venue tells settled rates.

    `page_hours`: how long a time one answer holds for sure; `pages`: how many are asked for.
    `call`: the request of a symbol's page; `read`: what an answer holds of it, and the bad rows.
    """

    page_hours: int
    pages: int
    call: Callable[[str, Page], Call]
    read: Callable[[Wire, str], tuple[list[Told], int]]
    periods: tuple[int, ...] = PERIODS


async def ask_settled(
    ask: Ask, contract: Contract, series: Series, listed: float | None
) -> list[FundingPast]:
    """What a perpetual paid in the window of the question; what is missing of it is said."""
    window, now_ms = window_of(ask), ask.now_ms
    pages = pages_of(reach(window, now_ms), series.page_hours * HOUR_MS, series.pages, now_ms)
    symbol = contract.symbol
    note_cut(ask, window, pages, f"settled rates of {symbol}")
    wires = await ask_some(ask, [series.call(symbol, page) for page in pages])
    read = [wire.parsed(series.read, symbol) for wire in wires if wire]
    ask.unread(sum(bad for _, bad in read))
    told = [one for found, _ in read for one in found]
    settled = settle(told, window, listed, series.periods)
    if settled.lost:
        rates = f"{settled.lost} rate{'s' if settled.lost > 1 else ''}"
        ask.short(f"changed: {rates} of {symbol} without a known hour or period")
    read_at = min((wire.fetched_at for wire in wires if wire), default=now_ms)
    return [FundingPast(contract.coin, ask.venue, symbol, settled.rates, read_at)]
