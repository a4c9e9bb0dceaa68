"""Readings as parts of one answer: made at once, put together, and what they lack told."""

from collections.abc import Awaitable
from typing import Any

import anyio

from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.errors import AllVenuesFailed


async def part(reading: Awaitable[Gathered]) -> Gathered:
    """A reading as one part of an answer: where every source failed it is empty and says so."""
    try:
        return await reading
    except AllVenuesFailed as error:
        return Gathered(notes=error.sources, partial=True, until=0.0)


async def parts(*readings: Awaitable[Gathered]) -> list[Gathered]:
    """Readings made at once, each as a part, in their order."""
    found = [Gathered()] * len(readings)

    async def read(i: int, reading: Awaitable[Gathered]) -> None:
        found[i] = await part(reading)

    async with anyio.create_task_group() as tasks:
        for i, reading in enumerate(readings):
            tasks.start_soon(read, i, reading)
    return found


def merged(*found: Gathered) -> Gathered:
    """Several readings as one: what one of them lacks, the whole lacks.

    Alike notes are told once; `fetched_at` is the oldest, `until` the earliest.
    """
    whole = Gathered()
    for one in found:
        whole.rows += one.rows
        whole.notes += [said for said in one.notes if said not in whole.notes]
        whole.sources += one.sources
        whole.answered += [venue for venue in one.answered if venue not in whole.answered]
        whole.partial = whole.partial or one.partial
        whole.universe |= one.universe
        whole.narrowed |= one.narrowed
        whole.until = min(whole.until, one.until)
        for coin, venues in one.not_listed.items():
            whole.not_listed.setdefault(coin, []).extend(venues)
        read = [at for at in (whole.fetched_at, one.fetched_at) if at is not None]
        whole.fetched_at = min(read, default=None)
    return whole


def note(whole: Gathered, source: str, status: str, reason: str) -> None:
    """Say that a source needs attention; what is no more than stale is not missing."""
    said: dict[str, Any] = {"source": source, "status": status, "reason": reason}
    if said not in whole.notes:
        whole.notes.append(said)
    whole.partial = whole.partial or status != "stale"
