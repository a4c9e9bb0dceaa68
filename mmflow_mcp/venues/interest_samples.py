"""Open interest as venues recorded it: samples of a coin's contracts, summed per moment.

METHODS 2 and 14: one-sided. A moment at which one of the contracts has no sample is left out: a
smaller sum looks right and is not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmflow_mcp.rows.history import OpenInterestPast, PastInterest
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import MAX_USD
from mmflow_mcp.venues.singles import ask_some
from mmflow_mcp.venues.windows import (
    MINUTE_MS,
    Cadence,
    Page,
    Window,
    choose_cadence,
    kept_part,
    note_cut,
    pages_of,
    say,
    window_of,
)

# A venue's samples may come so late.
_LATE_MS = 10 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Strand:
    """What one contract's past tells, by moment.

    `born_ms`: since when it is listed; it had no open interest before. None: not known.
    """

    symbol: str
    points: Mapping[int, PastInterest]
    born_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What of a question is asked for: its window, how finely, in which pages, newest first."""

    window: Window
    cadence: Cadence
    pages: Sequence[Page]


# The requests for a page of a contract, and the samples of an answer with its bad rows.
CallOf = Callable[[Contract, Page], Call]
ReadOf = Callable[[Contract, Wire], tuple[list[PastInterest], int]]


def sample(at_ms: int, coins: float, usd: float | None) -> PastInterest:
    """One-sided open interest at a moment. Raises ValueError for what no contract can hold."""
    if not 0 <= coins < 1e21 or not (usd is None or 0 <= usd < MAX_USD):
        msg = "not an open interest"
        raise ValueError(msg)
    return PastInterest(at_ms, coins, usd)


def plan_samples(ask: Ask, coin: str, cadences: Sequence[Cadence], rows: int, most: int) -> Plan:
    """The window of a question at the finest cadence that `most` pages of so many rows bring.

    What the venue keeps at no cadence, or what these pages do not reach, is said.
    """
    what = f"open interest of {coin}"
    window = kept_part(ask, window_of(ask), max(one.kept_ms for one in cadences), what)
    cadence = choose_cadence(window, cadences, ask.now_ms)
    grid = window.snapped(cadence.ms)
    pages = pages_of(grid, rows * cadence.ms, most, ask.now_ms)
    note_cut(ask, grid, pages, what)
    return Plan(window, cadence, pages)


async def ask_samples(
    ask: Ask,
    contracts: Sequence[Contract],
    plan: Plan,
    births: Mapping[str, int],
    call: CallOf,
    read: ReadOf,
) -> list[OpenInterestPast]:
    """The samples of all contracts of a coin, summed. `births`: since when each is listed.

    A page that fails leaves its moments out and is told; all that fail are the venue's failure.
    """
    asked = [(contract, page) for page in plan.pages for contract in contracts]
    wires = await ask_some(ask, [call(*one) for one in asked])
    found: dict[str, dict[int, PastInterest]] = {contract.symbol: {} for contract in contracts}
    unread = 0
    for (contract, _), wire in zip(asked, wires, strict=True):
        points, bad = read(contract, wire) if wire else ([], 0)
        # What lies off the grid is of another cadence than was asked for.
        known = {one.ts: one for one in points if one.ts % plan.cadence.ms == 0}
        unread += bad + sum(one.ts % plan.cadence.ms != 0 for one in points)
        found[contract.symbol] |= known
    ask.unread(unread)
    strands = [Strand(symbol, points, births.get(symbol)) for symbol, points in found.items()]
    return tell_samples(ask, contracts[0].coin, strands, plan.window, plan.cadence.ms)


def sum_samples(
    strands: Sequence[Strand], window: Window, cadence_ms: int
) -> tuple[tuple[PastInterest, ...], dict[str, int]]:
    """Sums of the moments at which every contract has a sample, and how many each lacks.

    A contract counts from the moment on at which it was listed. The newest moment may still be
    incomplete and is then left out without a word. A moment of the cadence that none of them has
    is lacking in all.
    """
    moments = {at for strand in strands for at in strand.points if at in window}
    newest = max(moments, default=0)
    if moments:
        moments |= set(range(min(moments), newest, cadence_ms))
    points: list[PastInterest] = []
    lacking: dict[str, int] = {}
    for at in sorted(moments):
        there = [s for s in strands if at in s.points or s.born_ms is None or at >= s.born_ms]
        silent = [strand.symbol for strand in there if at not in strand.points]
        if not silent and there:
            points.append(_sum(at, [strand.points[at] for strand in there]))
        elif at != newest:
            for symbol in silent:
                lacking[symbol] = lacking.get(symbol, 0) + 1
    return tuple(points), lacking


def _sum(at_ms: int, parts: Sequence[PastInterest]) -> PastInterest:
    known = [part.usd for part in parts if part.usd is not None]
    usd = sum(known) if len(known) == len(parts) else None
    return PastInterest(at_ms, sum(part.coins for part in parts), usd)


def tell_samples(
    ask: Ask, coin: str, strands: Sequence[Strand], window: Window, cadence_ms: int
) -> list[OpenInterestPast]:
    """The row of a coin; what is left out of it, and what the venue does not have, is said."""
    points, lacking = sum_samples(strands, window, cadence_ms)
    for symbol, count in lacking.items():
        moments = f"{count} moment{'s' if count > 1 else ''}"
        ask.short(f"missing: open interest of {symbol} at {moments}, left out", coin=coin)
    _tell_edges(ask, coin, strands, window, cadence_ms)
    symbols = tuple(sorted(strand.symbol for strand in strands))
    read_at = ask.read_at or ask.now_ms
    return [OpenInterestPast(coin, ask.venue, symbols, cadence_ms, points, read_at)]


def _tell_edges(
    ask: Ask, coin: str, strands: Sequence[Strand], window: Window, cadence_ms: int
) -> None:
    """Say where a window has no sample at its beginning or its end, or none at all."""
    begin = max(window.since_ms, _birth(strands))
    moments = [at for strand in strands for at in strand.points if at in window]
    if not moments:
        if begin + cadence_ms < window.until_ms:
            ask.short(f"missing: no open interest of {coin} in that time", coin=coin)
        return
    if min(moments) >= begin + 2 * cadence_ms:
        ask.short(f"missing: open interest of {coin} before {say(min(moments))}")
    if max(moments) + 2 * cadence_ms + _LATE_MS < window.until_ms:
        ask.short(f"missing: open interest of {coin} after {say(max(moments))}")


def _birth(strands: Iterable[Strand]) -> int:
    """Since when the first of these contracts was there; 0 where that is not known."""
    return min((0 if one.born_ms is None else one.born_ms for one in strands), default=0)
