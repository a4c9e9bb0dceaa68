"""Sums of parts that were read at different times: answers never are, recordings may be."""

from collections.abc import Iterable, Mapping

from mmflow_mcp.clock import HOUR_MS
from mmflow_mcp.rows import OpenInterestRow
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask


def are_apart(wires: Iterable[Wire]) -> bool:
    """Whether these answers were read more than an hour apart."""
    times = [wire.fetched_at for wire in wires if wire]
    return bool(times) and max(times) - min(times) > HOUR_MS


def note_apart(ask: Ask, rows: Mapping[str, OpenInterestRow], read_at: Mapping[str, int]) -> None:
    """Say which of the rows asked for add up contracts of different times.

    `read_at`: when each contract was read, epoch ms, by symbol.
    """
    for coin in ask.wants(rows):
        times = [read_at[symbol] for symbol in rows[coin].symbols if symbol in read_at]
        if times and max(times) - min(times) > HOUR_MS:
            days = (max(times) - min(times)) / (24 * HOUR_MS)
            ask.short(f"stale: the contracts of {coin} were read up to {days:.1f} days apart")
