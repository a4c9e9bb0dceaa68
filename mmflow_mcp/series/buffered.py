"""A store in front of another: what a sampler writes while that one is away waits in memory."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import StoreAway, StoreError, StoreUnwritable
from mmflow_mcp.series.memory import MemoryStore
from mmflow_mcp.series.store import FOREVER, Batch, Point, SeriesKey, SeriesStore, Stored, Written

log = logging.getLogger("mmflow_mcp")

# About 25 MB; 4,800 series every ten minutes for more than three hours.
POINTS_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Lost:
    """Samples that were given up: how many, and from when to when, epoch ms."""

    count: int = 0
    first: int = FOREVER
    last: int = 0

    def more(self, count: int, t: int) -> "Lost":
        """With some more, of one moment."""
        return Lost(self.count + count, min(self.first, t), max(self.last, t))

    def __str__(self) -> str:
        return f"{self.count} from {_moment(self.first)} to {_moment(self.last)}"


class BufferedStore:
    """Hands everything to the store behind it, and keeps samples while that cannot be written.

    Waiting samples are written before the next ones; beyond `points_kept` the oldest are given up.
    `report` is told when the store goes away, when it is back, and which stretch of time was lost.
    A back-fill does not wait here: it can be asked for again at its venue.

    Reads come from the store behind with the waiting samples on top; they fail when it cannot be
    read. Waiting samples fill gaps even where another process has sampled on meanwhile.

    `away`: why samples wait now, empty while none do; `failed`: how many writes have failed.
    """

    def __init__(
        self,
        behind: SeriesStore,
        *,
        clock: Clock,
        points_kept: int = POINTS_KEPT,
        report: Callable[[str], None] = log.warning,
    ) -> None:
        self.name = behind.name
        self._behind = behind
        self._waiting = MemoryStore(clock=clock, retention_ms=FOREVER)
        self._points_kept = points_kept
        self._report = report
        self._turn = anyio.Lock()
        self._away = False
        self._lost = Lost()
        self.away = ""
        self.failed = 0

    async def write(self, batches: Sequence[Batch], *, backfill: bool = False) -> Written:
        """Store points; see `SeriesStore`. Samples that must wait are counted as `waiting`."""
        if backfill:
            return await self._behind.write(batches, backfill=True)
        async with self._turn:
            try:
                await self._catch_up()
                return await self._behind.write(batches)
            except (StoreAway, StoreUnwritable) as error:
                self.failed += 1
                self.away = str(error)
                return await self._keep(batches, error)

    async def read(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> list[Point]:
        """The points of a stretch, ascending; see `SeriesStore`."""
        points = await self._behind.read(key, since_ms, until_ms)
        waiting = await self._waiting.read(key, since_ms, until_ms)
        if not waiting:
            return points
        cells = {point.t: point for point in (*points, *waiting)}
        return [cells[t] for t in sorted(cells)]

    async def series(self) -> list[Stored]:
        """What lies in the store behind; see `SeriesStore`."""
        return await self._behind.series()

    async def delete(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> int:
        """Remove points; see `SeriesStore`."""
        gone = await self._behind.delete(key, since_ms, until_ms)
        return gone + await self._waiting.delete(key, since_ms, until_ms)

    async def prune(self, now_ms: int) -> int:
        """Remove what is past the retention; see `SeriesStore`."""
        return await self._behind.prune(now_ms)

    async def close(self) -> None:
        """Write what waits, if that is possible now, and close the store behind."""
        async with self._turn:
            try:
                await self._catch_up()
            except StoreError as error:
                waiting = await self._waiting.series()
                count = sum(held.count for held in waiting) + self._lost.count
                self._report(f"{count} samples are lost at the end: {error}")
        await self._behind.close()

    async def _catch_up(self) -> None:
        """Write what waits. Raises `StoreError` and keeps it when that does not work yet."""
        if not self._away:
            return
        held = await self._waiting.series()
        batches = [Batch(s.key, s.cadence_ms, await self._waiting.read(s.key)) for s in held]
        await self._behind.write(batches, backfill=True)
        for batch in batches:
            await self._waiting.delete(batch.key)
        told = f"{self.name} is back: {sum(s.count for s in held)} waiting samples were written"
        if self._lost.count:
            told += f", {self._lost} were too many to keep: a gap"
        self._away, self._lost, self.away = False, Lost(), ""
        self._report(told)

    async def _keep(self, batches: Sequence[Batch], error: StoreError) -> Written:
        """Keep samples in memory, and give up the oldest when there are too many."""
        if not self._away:
            self._away = True
            self._report(f"samples wait in memory: {error}")
        kept = await self._waiting.write(batches)
        held = await self._waiting.series()
        count = sum(s.count for s in held)
        while count > self._points_kept:
            oldest = min(s.first for s in held)
            gone = [await self._waiting.delete(s.key, 0, oldest) for s in held]
            self._lost = self._lost.more(sum(gone), oldest)
            count -= sum(gone)
            held = await self._waiting.series()
        return Written(refused=kept.refused, waiting=kept.stored)


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="minutes")
