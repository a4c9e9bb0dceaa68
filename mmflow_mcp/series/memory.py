"""A history store that ends with the process: for tests, simulation and replay."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mmflow_mcp.clock import Clock
from mmflow_mcp.series.extras import from_text, to_text
from mmflow_mcp.series.store import (
    FOREVER,
    WEEK_MS,
    Batch,
    Point,
    SeriesKey,
    Stored,
    Written,
    admit,
)

# A point, its two numbers and its places in the lists.
BYTES_A_POINT = 150


@dataclass(slots=True)
class _Series:
    """Points ascending, and their times beside them to search in."""

    cadence_ms: int
    times: list[int] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def put(self, points: Iterable[Point]) -> None:
        """Store points, each instead of what its cell holds."""
        for point in points:
            if not self.times or point.t > self.times[-1]:
                self.times.append(point.t)
                self.points.append(point)
                continue
            i = bisect_left(self.times, point.t)
            same = self.times[i] == point.t
            self.times[i : i + same] = [point.t]
            self.points[i : i + same] = [point]

    def span(self, since_ms: int, until_ms: int) -> slice:
        """Where the points of a stretch lie, both ends included."""
        return slice(bisect_left(self.times, since_ms), bisect_right(self.times, until_ms))

    def drop(self, where: slice) -> int:
        """Remove points; how many there were."""
        gone = len(self.times[where])
        del self.times[where], self.points[where]
        return gone


class MemoryStore:
    """Keeps every series as a sorted list. Nothing here waits."""

    name = "memory"

    def __init__(self, *, clock: Clock, retention_ms: int = WEEK_MS) -> None:
        self._clock = clock
        self._retention_ms = retention_ms
        self._series: dict[SeriesKey, _Series] = {}

    async def write(self, batches: Sequence[Batch], *, backfill: bool = False) -> Written:
        """Store points; see `SeriesStore`."""
        now, all_admitted = self._clock.now_ms(), []
        for batch in batches:
            held = self._series.get(batch.key)
            admitted = admit(
                batch,
                newest=held.times[-1] if held and held.times else None,
                now_ms=now,
                retention_ms=self._retention_ms,
                backfill=backfill,
            )
            if admitted.points:
                held = self._series.setdefault(batch.key, _Series(batch.cadence_ms))
                held.cadence_ms = batch.cadence_ms
                held.put([point._replace(extra=_own(point)) for point in admitted.points])
            if held:
                held.drop(held.span(0, now - self._retention_ms - 1))
            all_admitted.append(admitted)
        return Written.of(all_admitted)

    async def read(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> list[Point]:
        """The points of a stretch, ascending; see `SeriesStore`."""
        held = self._series.get(key)
        earliest = self._clock.now_ms() - self._retention_ms
        return held.points[held.span(max(since_ms, earliest), until_ms)] if held else []

    async def series(self) -> list[Stored]:
        """Everything that is stored; see `SeriesStore`."""
        return [
            Stored(key, held.cadence_ms, held.times[0], held.times[-1], n, n * BYTES_A_POINT)
            for key, held in sorted(self._series.items())
            if (n := len(held.times))
        ]

    async def delete(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> int:
        """Remove points; see `SeriesStore`."""
        held = self._series.get(key)
        return held.drop(held.span(since_ms, until_ms)) if held else 0

    async def prune(self, now_ms: int) -> int:
        """Remove what is past the retention; see `SeriesStore`."""
        last = now_ms - self._retention_ms - 1
        return sum(held.drop(held.span(0, last)) for held in self._series.values())

    async def close(self) -> None:
        """Forget everything."""
        self._series.clear()


def _own(point: Point) -> dict[str, object] | None:
    """A copy of the extra that the writer cannot change any more, as a file would give it back."""
    text = to_text(point.extra)
    return from_text(text) if text else None
