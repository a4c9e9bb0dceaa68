"""Settled funding rates: when each was paid, and for how many hours.

A symbol's period changes over time, and no venue tells it beside its settled rates: it is the time
since the settlement before. Venues stamp settlements some ms off their hour.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

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

    Two settlements on both sides, up to the present, tell a period from a gap. A window that is
    empty stays so.
    """
    if window.since_ms >= window.until_ms:
        return Window(window.since_ms, window.since_ms)
    hours = Window(window.since_ms // HOUR_MS * HOUR_MS, window.until_ms).snapped(HOUR_MS)
    present = Window(0, now_ms).snapped(HOUR_MS).until_ms
    until = max(hours.until_ms, min(hours.until_ms + 2 * _LONGEST_MS, present))
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
    gaps = [(late - early) // HOUR_MS for early, late in pairwise(times)]
    made: list[SettledRate] = []
    for i, at in enumerate(times):
        if at not in window:
            continue
        before, after = _near(gaps, i - 2, -1, periods), _near(gaps, i, 1, periods)
        around = Around(before, gaps[i - 1] if i else None, after)
        hours = None if at in odd else period_of(around, listed, periods)
        if hours is None:
            lost += 1
        else:
            made.append(SettledRate(at, rates[at], float(hours)))
    return Settled(tuple(made), lost)


def _near(gaps: Sequence[int], begin: int, step: int, periods: Sequence[int]) -> tuple[int, ...]:
    """The two nearest spacings that can be periods, the nearer one first."""
    stop = len(gaps) if step > 0 else -1
    fitting = (gaps[i] for i in range(begin, stop, step) if gaps[i] in periods)
    return tuple(islice(fitting, 2))


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
    """Hours from the settlement before to this one (None: there is none), and those beside them.

    `before` and `after` hold the two nearest spacings that can be periods, the nearer one first.
    """

    before: tuple[int, ...]
    own: int | None
    after: tuple[int, ...]


def period_of(around: Around, listed: float | None, periods: Sequence[int]) -> float | None:
    """The hours that a settlement was for; None where they cannot be known.

    The time since the settlement before, unless one is missing between them: its neighbours speak
    for it then where they agree, else the period that is listed where it is one of theirs. The
    newest one after a longer time than usual is sure only where the list agrees: the next
    settlement will tell.
    """
    before, own, after = around.before, around.own, around.after
    if own in periods and own is not None:
        if before and after:
            return _usual(before, own, after) or own
        return None if before and own > before[0] and listed != own else own
    sides = [spacings for spacings in (before, after) if spacings]
    near = {spacings[0] for spacings in sides}
    if len(near) > 1:
        # The nearer one may itself be the double of a period.
        near = {
            spacings[-1] if spacings[0] == 2 * spacings[-1] else spacings[0] for spacings in sides
        }
    if len(near) == 1:
        return near.pop()
    return listed if listed in (near or periods) else None


def _usual(before: tuple[int, ...], own: int, after: tuple[int, ...]) -> int | None:
    """The period around a spacing that is longer because a settlement is missing, else None.

    It is alone among shorter ones, or one of a pair of double ones: no venue changes a period for
    one or two settlements and back.
    """
    if before[0] == after[0] < own:
        return before[0]
    least = min(before)
    return least if least == min(after) and own == 2 * least else None


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
