"""Settlements: what perpetuals paid, when, and for how many hours.

A symbol's period changes over time, and most venues do not tell it beside a settled rate: it is the
time since the settlement before. A row that is missing must not pass for a longer period. Venues
stamp settlements up to a minute off their hour.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.errors import VenueError
from mmflow_mcp.rows.history import FundingPast, SettledRate
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.singles import ask_some
from mmflow_mcp.venues.windows import (
    MINUTE_MS,
    Page,
    Window,
    fresh_after,
    note_cut,
    pages_of,
    say,
    window_of,
)

# The lengths of period in use, hours. Nothing else is one: not the time over a missed settlement.
PERIODS = (1, 2, 4, 6, 8)
_LONGEST_MS = max(PERIODS) * HOUR_MS
# So many spacings on both sides of one tell whether a settlement is missing in it.
_NEAR = 4


class Payment(NamedTuple):
    """A settlement as a row tells it: epoch ms, a fraction; its hours where the venue says them."""

    ts: int
    rate: float
    hours: float | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """Rates in order, and how many of the window could not be used."""

    rates: tuple[SettledRate, ...]
    lost: int


@dataclass(frozen=True, slots=True)
class Listed:
    """What a venue's list tells of a contract: its period now, hours, and since when it is there.

    `periods`: those that the venue has. `born_ms` is None where it is not known.
    """

    hours: float | None = None
    born_ms: int | None = None
    periods: tuple[int, ...] = PERIODS


NOT_LISTED = Listed()


def reach(window: Window, now_ms: int) -> Window:
    """The whole hours to ask for, so that what is paid in a window has its neighbours beside it.

    Two of the longest periods on both sides, up to the present, tell a period from a gap. A window
    that is empty stays so.
    """
    if window.since_ms >= window.until_ms:
        return Window(window.since_ms, window.since_ms)
    hours = Window(window.since_ms // HOUR_MS * HOUR_MS, window.until_ms).snapped(HOUR_MS)
    present = Window(0, now_ms).snapped(HOUR_MS).until_ms
    until = max(hours.until_ms, min(hours.until_ms + 2 * _LONGEST_MS, present))
    return Window(max(0, hours.since_ms - 2 * _LONGEST_MS), until)


def settle(told: Iterable[Payment], window: Window, listed: Listed = NOT_LISTED) -> Settled:
    """Each settlement of the window once, with the period that it ended."""
    paid, odd, lost = _by_hour(told, window)
    times = sorted(paid)
    gaps = [(late - early) // HOUR_MS for early, late in pairwise(times)]
    made: list[SettledRate] = []
    for i, at in enumerate(times):
        if at not in window:
            continue
        hours = paid[at].hours
        if at in odd:
            hours = None
        elif hours is None:
            before, after = gaps[max(0, i - 1 - _NEAR) : max(0, i - 1)], gaps[i : i + _NEAR]
            around = Around(tuple(reversed(before)), gaps[i - 1] if i else None, tuple(after))
            hours = period_of(around, listed)
        if hours is None:
            lost += 1
        else:
            made.append(SettledRate(at, paid[at].rate, float(hours)))
    return Settled(tuple(made), lost)


def _by_hour(told: Iterable[Payment], window: Window) -> tuple[dict[int, Payment], set[int], int]:
    """Payments by full hour, the hours with two different ones, and how many belong to no hour."""
    paid: dict[int, Payment] = {}
    odd: set[int] = set()
    lost = 0
    for payment in told:
        hour = (payment.ts + HOUR_MS // 2) // HOUR_MS * HOUR_MS
        if abs(payment.ts - hour) > MINUTE_MS:
            lost += payment.ts in window
        elif paid.setdefault(hour, payment)[1:] != payment[1:]:
            odd.add(hour)
    return paid, odd, lost


class Around(NamedTuple):
    """Hours from the settlement before to this one (None: there is none), and those beside them.

    `before` and `after` hold the nearest spacings, the nearer one first.
    """

    before: tuple[int, ...]
    own: int | None
    after: tuple[int, ...]


def period_of(around: Around, listed: Listed = NOT_LISTED) -> float | None:
    """The hours that a settlement was for; None where they cannot be known.

    They are the time since the settlement before where a spacing beside it is the same, or of the
    newest one what the venue's list says. A longer time alone among equal ones misses a settlement;
    several double ones among shorter ones may miss some or not.
    """
    before, own, after = around
    known, hours = listed.periods, listed.hours
    if own is None:
        return _first(after, listed)
    if before and after and before[0] == after[0] < own:
        return before[0] if before[0] in known and own % before[0] == 0 else None
    if own == 2 * (own // 2) and own // 2 in before and own // 2 in after:
        return None
    if own not in known:
        # Where nothing follows yet, the list may say that all is as before.
        as_before = hours is not None and not after and before[:1] == (hours,)
        return hours if hours and as_before and own % hours == 0 else None
    # Beyond a gap the next spacing speaks.
    beside = [next((one for one in side if one in known), None) for side in (before, after)]
    if own == min(known) or own in beside or (own == hours and not after):
        return own
    # The newest one of a period that has become shorter: no missing row shortens.
    shorter = not after and before[:1] > (own,) and before[0] in known
    return own if shorter else None


def _first(after: tuple[int, ...], listed: Listed) -> float | None:
    """The period of the first settlement of all: the spacing after it, where that is sure."""
    hours, least = listed.hours, min(listed.periods)
    if not after:
        return hours if hours in listed.periods else None
    sure = after[0] == after[1] if len(after) > 1 else after[0] == hours
    sure = sure or after[0] == least == hours
    return after[0] if sure and after[0] in listed.periods else None


@dataclass(frozen=True, slots=True)
class Series:
    """How a venue tells settled rates.

    `pages`: how many are asked for. `call`: the request of a symbol's page; `read`: what an answer
    holds of it, and the bad rows. `page_hours`: how long a time one answer holds for sure. None:
    pages are turned over, each holds the newest rows before its end, however many hours those are.
    """

    pages: int
    call: Callable[[str, Page], Call]
    read: Callable[[Wire, str], tuple[list[Payment], int]]
    page_hours: int | None = None


async def ask_settled(
    ask: Ask, contract: Contract, series: Series, listed: Listed = NOT_LISTED
) -> list[FundingPast]:
    """What a perpetual paid in the window of the question; what is missing of it is said."""
    window = window_of(ask)
    take = _turn_over if series.page_hours is None else _ask_pages
    told = await take(ask, contract.symbol, series, window)
    return tell_past(ask, contract, told, window, listed)


async def _ask_pages(ask: Ask, symbol: str, series: Series, window: Window) -> list[Payment]:
    """The payments of all pages, asked for at once."""
    wide, length_ms = reach(window, ask.now_ms), (series.page_hours or 1) * HOUR_MS
    pages = pages_of(wide, length_ms, series.pages, ask.now_ms)
    note_cut(ask, window, pages, f"settled rates of {symbol}")
    wires = await ask_some(ask, [series.call(symbol, page) for page in pages])
    return read_payments(ask, wires, series.read, symbol)


async def _turn_over(ask: Ask, symbol: str, series: Series, window: Window) -> list[Payment]:
    """The payments of one page after the other, from the newest back."""
    wide = reach(window, ask.now_ms)
    since, until = wide.since_ms, wide.until_ms
    wires: list[Wire] = []
    while until > since and len(wires) < series.pages:
        call = series.call(symbol, Page(since, until, fresh_after(until, ask.now_ms), bool(wires)))
        try:
            wire = await ask.get(call)
        except VenueError as error:
            if not wires:
                raise
            ask.short(f"{error.reason} ({call.label})")
            break
        found, _ = wire.parsed(series.read, symbol)
        oldest = min((payment.ts for payment in found), default=until)
        if oldest >= until and wires:
            # The same rows again, or none: there is nothing before.
            break
        wires.append(wire)
        # However full a page was, what is before it is asked for until nothing comes.
        until = oldest if since + _LONGEST_MS <= oldest < until else since
    else:
        if until > window.since_ms:
            what = f"settled rates of {symbol} before {say(until)}"
            ask.short(f"missing: {what}, one answer goes no further")
    return read_payments(ask, wires, series.read, symbol)


def read_payments(
    ask: Ask, wires: Iterable[Wire], read: Callable[..., tuple[list[Payment], int]], *more: object
) -> list[Payment]:
    """What these answers hold together; unreadable rows are counted and said."""
    parts = [wire.parsed(read, *more) for wire in wires if wire]
    ask.unread(sum(bad for _, bad in parts))
    return [payment for found, _ in parts for payment in found]


def tell_past(
    ask: Ask,
    contract: Contract,
    told: Sequence[Payment],
    window: Window,
    listed: Listed = NOT_LISTED,
) -> list[FundingPast]:
    """The row of a coin's main perpetual; what is left out of it is said.

    Where it is known since when the contract is there, also from when on there are rates.
    """
    settled = settle(told, window, listed)
    if settled.lost:
        rates = f"{settled.lost} rate{'s' if settled.lost > 1 else ''}"
        ask.short(f"missing: {rates} of {contract.symbol} without a known hour or period")
    if listed.born_ms is not None and window.since_ms < window.until_ms:
        first = min((payment.ts for payment in told), default=window.until_ms)
        if first > max(window.since_ms, listed.born_ms) + 2 * _LONGEST_MS:
            ask.short(f"missing: settled rates of {contract.symbol} before {say(first)}")
    read_at = ask.read_at or ask.now_ms
    return [FundingPast(contract.coin, ask.venue, contract.symbol, settled.rates, read_at)]
