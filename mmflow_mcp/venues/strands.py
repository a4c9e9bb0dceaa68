"""Open interest of the past: a coin's contracts, strand by strand, made one.

METHODS 2 and 14: one-sided, summed per moment; where one contract has no value there is no sum.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmflow_mcp.rows.history import OpenInterestPast, PastInterest
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.fields import MAX_USD
from mmflow_mcp.venues.windows import Window


@dataclass(frozen=True, slots=True)
class Strand:
    """What one contract's past tells, by moment.

    `born_ms`: since when it is listed; it had no open interest before. None: not known.
    """

    symbol: str
    points: Mapping[int, PastInterest]
    born_ms: int | None = None


def on_grid(at_ms: int, cadence_ms: int) -> int:
    """A moment of the grid. Raises ValueError for any other."""
    if at_ms % cadence_ms:
        msg = "not on the grid"
        raise ValueError(msg)
    return at_ms


def point(at_ms: int, coins: float, usd: float | None) -> PastInterest:
    """A point. Raises ValueError for what no contract can hold."""
    if not 0 <= coins < 1e21 or not (usd is None or 0 <= usd < MAX_USD):
        msg = "not an open interest"
        raise ValueError(msg)
    return PastInterest(at_ms, coins, usd)


def braid(
    strands: Sequence[Strand], window: Window
) -> tuple[tuple[PastInterest, ...], dict[str, int]]:
    """Sums of the moments at which every contract has a value, and where one has none.

    A contract counts from the moment on at which it was listed. The newest moment may still be
    incomplete and is then left out without a word; of the others, how many are lacking by symbol.
    """
    moments = sorted({at for strand in strands for at in strand.points if at in window})
    points: list[PastInterest] = []
    lacking: dict[str, int] = {}
    for at in moments:
        found: list[PastInterest] = []
        silent: list[str] = []
        for strand in strands:
            if at in strand.points:
                found.append(strand.points[at])
            elif strand.born_ms is None or at >= strand.born_ms:
                silent.append(strand.symbol)
        if not silent:
            points.append(_sum(at, found))
        elif at != moments[-1]:
            for symbol in silent:
                lacking[symbol] = lacking.get(symbol, 0) + 1
    return tuple(points), lacking


def _sum(at_ms: int, parts: Iterable[PastInterest]) -> PastInterest:
    parts = list(parts)
    known = [part.usd for part in parts if part.usd is not None]
    usd = sum(known) if len(known) == len(parts) else None
    return PastInterest(at_ms, sum(part.coins for part in parts), usd)


def past_of(
    ask: Ask,
    coin: str,
    strands: Sequence[Strand],
    window: Window,
    cadence_ms: int,
    wires: Iterable[Wire],
) -> list[OpenInterestPast]:
    """The row of a coin; moments that are left out of it are said."""
    points, lacking = braid(strands, window)
    for symbol, count in lacking.items():
        moments = f"{count} moment{'s' if count > 1 else ''}"
        ask.short(f"missing: open interest of {symbol} at {moments}, left out", coin=coin)
    read_at = min((wire.fetched_at for wire in wires if wire), default=ask.now_ms)
    symbols = tuple(sorted(strand.symbol for strand in strands))
    return [OpenInterestPast(coin, ask.venue, symbols, cadence_ms, points, read_at)]
