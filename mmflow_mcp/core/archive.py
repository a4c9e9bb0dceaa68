"""History as it can be asked: what was recorded here, else what the venue itself remembers.

Samples and settled values are series of different kinds and never stand in one line. A venue is
asked for a stretch of its history once; what it answers is stored.
"""

import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

import anyio

from mmflow_mcp.clock import HOUR_MS, Clock
from mmflow_mcp.errors import MmflowError
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.series.store import (
    MINUTE_MS,
    WEEK_MS,
    Batch,
    Point,
    SeriesKey,
    SeriesStore,
    gaps,
    nameless,
)
from mmflow_mcp.venues.capabilities import FundingHistory, OpenInterestHistory

log = logging.getLogger("mmflow_mcp")

# What an answer names as the source of what was kept here.
HISTORY = "mmflow:history"
FUNDING, OI = "funding", "oi"
SAMPLED = {FUNDING: "predicted", OI: "sampled"}
SETTLED = "settled"
# How long after its time a venue tells a settlement or a sample.
LATE_MS = 3 * MINUTE_MS
# So many equal distances in a row are a cadence; fewer may be samples that are missing.
_IN_A_ROW = 4
# A finer cadence stands for a series that has so much less of its grid than a coarser one.
_LESS = 0.01
# No venue tells samples closer together, and with so many of them a stretch is told finely.
FINEST_MS, MANY = 5 * MINUTE_MS, 48

Soon = Callable[..., None]
Fetch = Callable[["Flight"], Coroutine[Any, Any, Batch | None]]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """What a metric's history is asked with, and how an answer becomes a batch of points."""

    capability: type
    batch: Callable[[Any], Batch]


def _funding_batch(past: FundingPast) -> Batch:
    key = SeriesKey(FUNDING, past.venue, past.coin, SETTLED)
    points = [Point(r.ts, r.rate, {"periodHours": r.period_hours}) for r in past.rates]
    longest = max((r.period_hours for r in past.rates), default=8.0)
    return Batch(key, round(longest * HOUR_MS), points)


def _interest_batch(past: OpenInterestPast) -> Batch:
    key = SeriesKey(OI, past.venue, past.coin, SETTLED)
    points = [Point(p.ts, p.coins) for p in past.points]
    return Batch(key, past.cadence_ms, points)


SOURCES = {
    FUNDING: Source(FundingHistory, _funding_batch),
    OI: Source(OpenInterestHistory, _interest_batch),
}


@dataclass(slots=True)
class Flight:
    """A back-fill under way, which several questions may await."""

    done: anyio.Event = field(default_factory=anyio.Event)
    notes: list[dict[str, Any]] = field(default_factory=list)
    not_listed: bool = False
    labels: list[str] = field(default_factory=list)
    wanted: Span = (0, 0)
    points: list[Point] = field(default_factory=list)


class Archive:
    """The history store with what is known of its back-fills.

    `store` is None where history is off. `soon` runs a function in the background.
    """

    def __init__(
        self,
        store: SeriesStore | None,
        *,
        clock: Clock,
        soon: Soon,
        retention_ms: int = WEEK_MS,
    ) -> None:
        self.store = store
        self.retention_ms = retention_ms
        self._clock = clock
        self._soon = soon
        self._asked: dict[SeriesKey, list[Span]] = {}
        self._flights: dict[SeriesKey, Flight] = {}

    async def read(self, key: SeriesKey, since_ms: int, until_ms: int) -> list[Point]:
        """The stored points of a series; nothing where history is off. Raises `StoreError`."""
        if self.store is None:
            return []
        return await self.store.read(key, since_ms, until_ms)

    def unread(self, error: MmflowError) -> dict[str, Any]:
        """What an answer says of a store that failed. Where it lies is nothing to the caller."""
        name = "" if self.store is None else self.store.name
        said = nameless(str(error), name, "the history store")
        return {"source": HISTORY, "status": "error", "reason": f"store: {said}"}

    def lacking(self, key: SeriesKey, points: Sequence[Point], since_ms: int, now_ms: int) -> Span:
        """The one stretch that holds everything the store has not and nobody has asked for.

        Empty (its ends equal) when nothing is lacking.
        """
        holes = [
            span
            for span in holes_of(points, since_ms, now_ms)
            if not any(a <= span[0] and span[1] <= b for a, b in self._asked.get(key, ()))
        ]
        if not holes:
            return (since_ms, since_ms)
        return (holes[0][0], holes[-1][1])

    def flight(
        self,
        key: SeriesKey,
        span: Span,
        fetch: Callable[[Flight], Coroutine[Any, Any, Batch | None]],
    ) -> Flight:
        """The back-fill of a stretch: the one under way for the series, or a new one."""
        known = self._flights.get(key)
        if known is not None:
            return known
        flight = self._flights[key] = Flight(wanted=span)
        self._soon(self._fill, key, flight, fetch)
        return flight

    async def _fill(self, key: SeriesKey, flight: Flight, fetch: Fetch) -> None:
        try:
            batch = await fetch(flight)
            if batch is not None:
                flight.points = list(batch.points)
            if batch is not None and self.store is not None:
                await self.store.write([batch], backfill=True)
                if not flight.notes:
                    self._remember(key, flight.wanted)
        except MmflowError as error:
            log.warning("history of %s could not be kept: %s", key.text, error)
            flight.notes.append(self.unread(error))
        finally:
            self._flights.pop(key, None)
            flight.done.set()

    def _remember(self, key: SeriesKey, span: Span) -> None:
        """The newest values may still be coming: what was asked ends a little earlier."""
        now = self._clock.now_ms()
        # What is older than the retention was not kept, and is to be asked again.
        since, until = max(span[0], now - self.retention_ms), min(span[1], now - LATE_MS)
        spans = sorted([*self._asked.get(key, ()), (since, until)])
        joined: list[Span] = []
        for a, b in spans:
            if joined and a <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], b))
            else:
                joined.append((a, b))
        self._asked[key] = joined[-8:]


def are_settlements(points: Sequence[Point]) -> bool:
    """Whether these are rates that were paid, which come when they come."""
    return any(extra and "periodHours" in extra for _, _, extra in points)


def evened(points: Sequence[Point]) -> tuple[list[Point], int]:
    """A settled series on one grid, and the usual distance of its points, ms.

    Venues are asked for a short stretch more finely than for a long one, and the store keeps both:
    of the finer stretches only what lies on the grid of the coarser ones is left. What carries
    `periodHours` is a payment and stays. The distance is an hour where fewer than two points are.
    """
    steps = [b.t - a.t for a, b in pairwise(points)]
    if not steps:
        return list(points), HOUR_MS
    if are_settlements(points):
        return list(points), steps[-1]
    runs = {step for step, run in groupby(steps) if len(list(run)) >= _IN_A_ROW}
    length = points[-1].t - points[0].t
    grids = [(step, _on_grid(points, steps, step)) for step in sorted(runs)]
    covered = [len(kept) * step / (length + step) for step, kept in grids]
    for (step, kept), share in zip(grids, covered, strict=True):
        if share >= max(covered) - _LESS:
            return kept, step
    return list(points), min(steps)


def _on_grid(points: Sequence[Point], steps: Sequence[int], step: int) -> list[Point]:
    """The points that lie a multiple of a distance from where it was last seen."""
    last = max(i for i, found in enumerate(steps) if found == step)
    return [point for point in points if (point.t - points[last].t) % step == 0]


def are_fine(points: Sequence[Point], spacing_ms: int) -> bool:
    """Whether points that a venue told are enough of their stretch not to ask for finer ones.

    A longer question before may have brought so few of them that a shorter one hardly finds any.
    """
    if len(points) >= MANY or are_settlements(points):
        return True
    return len(points) > 1 and spacing_ms <= FINEST_MS


def holes_of(points: Sequence[Point], since_ms: int, now_ms: int) -> list[Span]:
    """Stretches of since..now in which values should be and are not."""
    if not points:
        return [(since_ms, now_ms)] if now_ms > since_ms else []
    points, spacing = evened(points)
    spacing = _period_of(points) or spacing
    found: list[Span] = []
    if points[0].t - since_ms > spacing:
        found.append((since_ms, points[0].t))
    found += [(gap.after, gap.before) for gap in gaps(points, spacing, settled=True)]
    if now_ms - points[-1].t > spacing + LATE_MS:
        found.append((points[-1].t, now_ms))
    return found


def _period_of(points: Sequence[Point]) -> int:
    """What the newest point is for, where it is a payment, ms; else 0."""
    return round(((points[-1].extra or {}).get("periodHours") or 0) * HOUR_MS)


def share_of(
    points: Sequence[Point], spacing_ms: int, span: Span, *, settled: bool = False
) -> float:
    """How much of a stretch the points speak for, 0..1: each for as long as its spacing.

    With `settled` a point that carries `periodHours` speaks for that long.
    """
    since_ms, until_ms = span
    if until_ms <= since_ms:
        return 1.0 if points else 0.0
    spoken = 0.0
    for _, _, extra in points:
        hours = extra.get("periodHours") if settled and extra else None
        spoken += hours * HOUR_MS if hours else spacing_ms
    return min(1.0, spoken / (until_ms - since_ms))
