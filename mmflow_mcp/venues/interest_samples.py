"""Open interest as venues recorded it: samples of several contracts, summed per moment.

A moment at which one of a coin's contracts has no sample is left out: a smaller sum looks right
and is not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.rows.history import OpenInterestPast, PastInterest
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract
from mmflow_mcp.venues.fields import MAX_USD
from mmflow_mcp.venues.settlements import Span, Window, date_of, windows
from mmflow_mcp.venues.singles import ask_some

# Of which time open interest is told where a question does not say.
USUAL_MS = 4 * HOUR_MS


class Cadence(NamedTuple):
    """A distance between samples: `name` as the venue spells it.

    It serves questions of at most `span_ms`, back to `kept_ms` before now.
    """

    ms: int
    name: str
    span_ms: int
    kept_ms: int = 10_000 * DAY_MS


class Held(NamedTuple):
    """One-sided open interest of one contract; `usd` None where it is not told."""

    coins: float
    usd: float | None


# The samples of one contract by their moment, epoch ms.
Samples = dict[int, Held]


def held(coins: float, usd: float | None) -> Held:
    """A sample. Raises ValueError for what no contract can hold."""
    if not 0 <= coins < 1e21 or (usd is not None and not 0 <= usd < MAX_USD):
        msg = "not an open interest"
        raise ValueError(msg)
    return Held(coins, usd)


def choose_cadence(span: Span, cadences: Sequence[Cadence]) -> Cadence:
    """The finest cadence that brings a span in few pages and still reaches back to it."""
    for cadence in cadences[:-1]:
        long = span.until - span.since > cadence.span_ms
        if not long and span.now - span.since <= cadence.kept_ms:
            return cadence
    return cadences[-1]


def sum_samples(
    samples: Mapping[str, Samples], span: Span, cadence_ms: int
) -> tuple[tuple[PastInterest, ...], dict[str, int]]:
    """Points of the span at which every contract has a sample, and how many each lacks.

    What is newer than the newest of one of them is not lacking: it is not told yet. A moment of the
    cadence that none of them has is lacking in all.
    """
    newest = min((max(same, default=-1) for same in samples.values()), default=-1)
    moments = {at for same in samples.values() for at in same if span.since <= at < span.until}
    if moments:
        moments |= set(range(min(moments), min(newest + 1, span.until), cadence_ms))
    points: list[PastInterest] = []
    lacking: dict[str, int] = {}
    for at in sorted(moments):
        without = [symbol for symbol, same in samples.items() if at not in same]
        for symbol in without if at <= newest else ():
            lacking[symbol] = lacking.get(symbol, 0) + 1
        if without:
            continue
        parts = [same[at] for same in samples.values()]
        usd = [part.usd for part in parts if part.usd is not None]
        whole = sum(usd) if len(usd) == len(parts) else None
        points.append(PastInterest(at, sum(part.coins for part in parts), whole))
    return tuple(points), lacking


def tell_samples(
    ask: Ask,
    coin: str,
    samples: Mapping[str, Samples],
    cadence: Cadence,
    wires: Iterable[Wire],
    span: Span,
) -> list[OpenInterestPast]:
    """The row of a coin; moments that one of its contracts lacks are told."""
    points, lacking = sum_samples(samples, span, cadence.ms)
    for symbol, count in lacking.items():
        word = "moment" if count == 1 else "moments"
        ask.short(f"missing: {count} {word} at which {symbol} has no open interest")
    first = points[0].ts if points else None
    if first is None:
        ask.short(f"missing: no open interest of {coin} in that time")
    elif first >= span.since + 2 * cadence.ms:
        ask.short(f"missing: open interest of {coin} before {date_of(first)}")
    read_at = min((wire.fetched_at for wire in wires if wire), default=span.now)
    symbols = tuple(sorted(samples))
    return [OpenInterestPast(coin, ask.venue, symbols, cadence.ms, points, read_at)]


async def ask_samples(
    ask: Ask,
    coin: str,
    contracts: Sequence[Contract],
    cadence: Cadence,
    span: Span,
    *,
    points: int,
    most: int,
    call: Callable[[Contract, Window], Call],
    read: Callable[[Contract, Wire], tuple[Samples, int]],
) -> list[OpenInterestPast]:
    """Samples of all contracts of a coin, in `most` windows of so many points, all at once.

    `call` is optional: a window that fails leaves its moments out and is told.
    """
    samples: dict[str, Samples] = {contract.symbol: {} for contract in contracts}
    pages, _ = windows(span, points * cadence.ms, most)
    # Newest first: what a rate budget has no room for is the oldest.
    asked = [(contract, page) for page in pages for contract in contracts]
    wires = await ask_some(ask, [call(*one) for one in asked]) if asked else []
    for (contract, _), wire in zip(asked, wires, strict=True):
        if wire:
            found, bad = read(contract, wire)
            ask.unread(bad)
            samples[contract.symbol] |= found
    return tell_samples(ask, coin, samples, cadence, wires, span)
