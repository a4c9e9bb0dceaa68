"""One metric's history on several venues: the store first, then the venues' own memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio

from mmflow_mcp.core.archive import (
    HISTORY,
    SAMPLED,
    SETTLED,
    SOURCES,
    Flight,
    are_fine,
    evened,
    share_of,
)
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import PROGRESS, Gathered, gather
from mmflow_mcp.errors import AllVenuesFailed, MmflowError
from mmflow_mcp.series.store import Batch, Point, SeriesKey
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.windows import say

SAMPLE_MS = 600_000
# Samples that speak for so much of a stretch are its history; else the venue's own are asked for.
ENOUGH = 0.9
# A back-fill that outlasts the question may take so much longer in the background.
BACKGROUND_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Line:
    """A series of one venue, of one kind. `cadence_ms`: its usual spacing."""

    venue: str
    kind: str
    cadence_ms: int
    points: tuple[Point, ...]


async def lines_of(
    core: Core,
    metric: str,
    coin: str,
    venues: Sequence[Venue],
    span: tuple[int, int],
    *,
    kind: str | None = None,
) -> tuple[list[Line], Gathered]:
    """The history of a coin on each venue, in their order, and the envelope's side of it.

    `kind`: settled or sampled; left out, what was sampled where that speaks for nine tenths of the
    span, else whichever speaks for more of it. A venue without a point has no line.
    """
    found: list[Line | None] = [None] * len(venues)
    sides = [Gathered() for _ in venues]
    progress = PROGRESS.get()
    tell = progress.part(len(venues)) if progress else None

    async def one(i: int) -> None:
        found[i] = await _line(core, metric, coin, venues[i], span, kind, sides[i])
        if tell is not None:
            await tell(f"{venues[i].id} is done")

    async with anyio.create_task_group() as tasks:
        for i in range(len(venues)):
            tasks.start_soon(one, i)
    whole = Gathered()
    for side in sides:
        whole.notes += [note for note in side.notes if note not in whole.notes]
        whole.sources += side.sources
        whole.answered += side.answered
        whole.partial = whole.partial or side.partial
        for asked, where in side.not_listed.items():
            whole.not_listed.setdefault(asked, []).extend(where)
    return [line for line in found if line is not None and line.points], whole


async def _line(
    core: Core,
    metric: str,
    coin: str,
    venue: Venue,
    span: tuple[int, int],
    kind: str | None,
    side: Gathered,
) -> Line | None:
    sampled: list[Point] = []
    settled: list[Point] = []
    if kind != SETTLED:
        key = SeriesKey(metric, venue.id, coin, SAMPLED[metric])
        sampled = await _kept(core, key, span, side)
    thin = share_of(sampled, SAMPLE_MS, span) < ENOUGH
    if kind == SETTLED or (kind is None and thin):
        settled = await _settled(core, metric, coin, venue, span, side)
    if not sampled and not settled:
        return None
    settled, spacing = evened(settled)
    of_samples = share_of(sampled, SAMPLE_MS, span)
    if share_of(settled, spacing, span, settled=True) > of_samples:
        return Line(venue.id, SETTLED, spacing, tuple(settled))
    side.answered.append(venue.id)
    side.sources.append(HISTORY)
    return Line(venue.id, SAMPLED[metric], SAMPLE_MS, tuple(sampled))


async def _kept(core: Core, key: SeriesKey, span: tuple[int, int], side: Gathered) -> list[Point]:
    """What the store has; a store that fails is told, and the venue may still know."""
    try:
        return await core.archive.read(key, *span)
    except MmflowError as error:
        note = core.archive.unread(error)
        side.notes += [note] if note not in side.notes else []
        side.partial = True
        return []


async def _settled(
    core: Core, metric: str, coin: str, venue: Venue, span: tuple[int, int], side: Gathered
) -> list[Point]:
    """What the venue itself remembers, from the store or else from the venue."""
    since, until = span
    source = SOURCES[metric]
    key = SeriesKey(metric, venue.id, coin, SETTLED)
    stored, spacing = evened(await _kept(core, key, span, side))
    if core.archive.store is None or not isinstance(venue, source.capability):
        return stored
    found = {point.t: point for point in stored} if are_fine(stored, spacing) else {}
    asked = False
    # A flight that another question began may bring less than this one needs: then once more.
    for _ in range(2):
        lacking = _lacking(core, key, found, span, venue)
        if lacking is None:
            break
        asked = True
        fetch = partial(_fetched, core, metric, coin, venue, lacking)
        flight = core.archive.flight(key, lacking, fetch)
        if not await _landed(core, flight, venue, coin, side):
            break
        # What is older than the store's retention is answered all the same.
        found |= {p.t: p for p in flight.points if since <= p.t <= until and p.v is not None}
        found |= {p.t: p for p in await _kept(core, key, span, side)}
        if flight.wanted == lacking:
            break
    # Where finer points cannot be had, those that are there stand.
    found = found or {point.t: point for point in stored}
    if found or (asked and not side.notes):
        side.answered.append(venue.id)
    if found and not asked:
        side.sources.append(HISTORY)
    return [found[t] for t in sorted(found)]


def _lacking(
    core: Core, key: SeriesKey, found: Mapping[int, Point], span: tuple[int, int], venue: Venue
) -> tuple[int, int] | None:
    """The stretch that the venue must be asked for; None when nothing is lacking."""
    if venue.closed_on is not None and core.upstream.kind != "replay":
        return None
    points = [found[t] for t in sorted(found)]
    now = min(span[1], core.clock.now_ms())
    lacking = core.archive.lacking(key, points, span[0], now)
    return None if lacking[0] == lacking[1] else lacking


async def _landed(core: Core, flight: Flight, venue: Venue, coin: str, side: Gathered) -> bool:
    """Await a back-fill within the deadline; what it says goes to the answer's side."""
    with anyio.move_on_after(core.deadline):
        await flight.done.wait()
    if not flight.done.is_set():
        reason = "timeout: its history is still being fetched and will be there soon"
        _note(side, venue.id, "missing", reason)
        return False
    side.notes += [note for note in flight.notes if note not in side.notes]
    side.partial = side.partial or bool(flight.notes)
    side.sources += [label for label in flight.labels if label not in side.sources]
    if flight.not_listed and venue.id not in side.not_listed.get(coin, ()):
        side.not_listed.setdefault(coin, []).append(venue.id)
    return True


async def _fetched(
    core: Core, metric: str, coin: str, venue: Venue, span: tuple[int, int], flight: Flight
) -> Batch | None:
    """Ask the venue for a stretch of its history; what is short is noted on the flight."""
    # It may outlive the question that began it, and counts as that question's one step.
    PROGRESS.set(None)
    source = SOURCES[metric]
    patient = replace(core, deadline=core.deadline + BACKGROUND_SECONDS)
    options = {"since_ms": span[0], "until_ms": span[1]}
    try:
        found = await gather(patient, source.capability, [venue], (coin,), options=options)
    except AllVenuesFailed as error:
        flight.notes += error.sources
        return None
    flight.notes += found.notes
    flight.labels += found.sources
    flight.not_listed = coin in found.not_listed
    for past in found.rows:
        return source.batch(past)
    return None


def _note(side: Gathered, source: str, status: str, reason: str) -> None:
    side.notes.append({"source": source, "status": status, "reason": reason})
    side.partial = True


def note_late(lines: Sequence[Line], metric: str, since_ms: int | None, side: Gathered) -> None:
    """Say which samples begin well after the moment that was asked for; None: none was."""
    if since_ms is None:
        return
    for line in lines:
        begun = line.points[0].t
        if line.kind == SAMPLED[metric] and begun - since_ms > 2 * SAMPLE_MS:
            _note(side, line.venue, "missing", f"missing: {only_since(begun)}")


def only_since(begun_ms: int) -> str:
    """From when on something was recorded, in words (UTC)."""
    return f"recorded here only since {say(begun_ms)}"


def rate_8h(point: Point) -> float | None:
    """A funding point as a fraction per 8 hours; None without its period."""
    hours = (point.extra or {}).get("periodHours")
    return None if point.v is None or not hours else point.v * 8 / hours


def flow_key(metric: str, coin: str) -> SeriesKey:
    """The series of a flow metric."""
    return SeriesKey(f"flow:{metric}", "flows", coin, "sampled")
