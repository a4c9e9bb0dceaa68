"""The contract of the history store, and the pure rules that every keeper applies (METHODS 14).

A series is one metric of one coin at one venue, of one kind: `predicted` samples, `settled` values
from the venue's own history, `sampled` measurements. Kinds are never mixed: they are other series.

A point lies in a cell of the series' grid; a cell holds one value, the last one written wins, so
several writers do no harm. A value that is unknown is not stored, and what was not stored is a gap:
nothing is ever filled in.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from mmflow_mcp.clock import DAY_MS, HOUR_MS

MINUTE_MS = 60_000
WEEK_MS = 7 * DAY_MS
KINDS = ("predicted", "settled", "sampled")
FOREVER = 1 << 62


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """Names a series: `oi`, `funding` or `flow:NAME`; a venue id; a coin; one of `KINDS`."""

    metric: str
    venue: str
    coin: str
    kind: str

    def __post_init__(self) -> None:
        """Refuse names that a keeper could not tell apart."""
        for part in (self.metric, self.venue, self.coin):
            if not 0 < len(part) <= 64 or "|" in part or not part.isprintable():
                raise ValueError(f"{part!r} names no metric, venue or coin")
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of series: {', '.join(KINDS)}")

    @property
    def text(self) -> str:
        """`metric|venue|coin|kind`."""
        return f"{self.metric}|{self.venue}|{self.coin}|{self.kind}"

    @classmethod
    def read(cls, text: str) -> "SeriesKey":
        """The key whose `text` this is. Raises `ValueError`."""
        metric, venue, coin, kind = text.split("|")
        return cls(metric, venue, coin, kind)


class Point(NamedTuple):
    """One value.

    `t`: epoch ms, on the grid when it was read from a store. `v`: in the metric's own unit; None
    is unknown and is not stored. `extra`: what belongs to this one value and JSON can say:
    `periodHours` of a funding rate; partial, stale, source, sources, coverage of a flow point.
    """

    t: int
    v: float | None
    extra: Mapping[str, Any] | None = None


class Batch(NamedTuple):
    """Points for one series.

    `cadence_ms`: the spacing at which the series is expected to have points, whole minutes; gaps
    are judged by it. The newest writer's cadence is the series'.
    """

    key: SeriesKey
    cadence_ms: int
    points: Sequence[Point]


class Admitted(NamedTuple):
    """The points of a batch that may be stored, by cell and ascending, and how many may not."""

    points: list[Point]
    refused: int
    expired: int


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the points of a write.

    `stored` cells are safe now; what could not be stored is an error, never a count. `refused`:
    older than the newest cell of their series (the clock stepped back), or ahead of the clock.
    `expired`: older than the retention. `waiting`: kept in memory because the store is away (only
    `BufferedStore` does that). Points without a value are in none of them.
    """

    stored: int = 0
    refused: int = 0
    expired: int = 0
    waiting: int = 0

    @classmethod
    def of(cls, admitted: Iterable[Admitted]) -> "Written":
        """What became of batches whose admitted points are stored."""
        sums = [(len(a.points), a.refused, a.expired) for a in admitted]
        return cls(*map(sum, zip(*sums, strict=True))) if sums else cls()


@dataclass(frozen=True, slots=True, order=True)
class Stored:
    """A series as it lies in the store; `first` and `last` in epoch ms, `size` roughly, bytes."""

    key: SeriesKey
    cadence_ms: int
    first: int
    last: int
    count: int
    size: int


class SeriesStore(Protocol):
    """What keeps series. Every method may raise `StoreError`; its subclass says what still works.

    A store belongs to one event loop. Several stores, in this process or others, may use the same
    file or server at once.
    """

    name: str

    async def write(self, batches: Sequence[Batch], *, backfill: bool = False) -> Written:
        """Store points, in few transactions or one; a cell's last value wins.

        What has returned survives the death of this process. A sampler's points may not lie
        before the newest cell of their series; those of a back-fill may. (A clock that ran far
        ahead leaves a cell that holds samplers off; `delete` from now on removes it.) Points past
        the retention are dropped, stored ones as well as new ones. After an error some points may
        be stored; writing them again does no harm.
        """
        ...

    async def read(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> list[Point]:
        """The points with since <= t <= until, ascending; none past the retention."""
        ...

    async def series(self) -> list[Stored]:
        """Everything that is stored, ordered by key; series without points are left out."""
        ...

    async def delete(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> int:
        """Remove the points with since <= t <= until; how many there were."""
        ...

    async def prune(self, now_ms: int) -> int:
        """Remove what is past the retention at that moment, in every series; how many points.

        Writing does so for the series that are written; the others want this now and then.
        """
        ...

    async def close(self) -> None:
        """Let go of files and connections. A closed store is not used again."""
        ...


def cell(t: int, cadence_ms: int) -> int:
    """The start of the grid cell in which a moment lies, epoch ms.

    >>> cell(1747000000000, 600_000), cell(1747400000000, 60_000)
    (1746999600000, 1747399980000)
    """
    return t // cadence_ms * cadence_ms


def grid_of(key: SeriesKey, cadence_ms: int) -> int:
    """The width of a series' cells, ms.

    Samples lie on the grid of their cadence. Settled values keep their own times, to the minute:
    a venue that pays every 8 hours at 04:00, 12:00 and 20:00 did not pay at 00:00, and a symbol
    whose period changes from 8 to 4 hours keeps all its payments.
    """
    return MINUTE_MS if key.kind == "settled" else cadence_ms


def admit(
    batch: Batch, *, newest: int | None, now_ms: int, retention_ms: int, backfill: bool
) -> Admitted:
    """Align the points of a batch and apply the rules of the store to them.

    `newest`: the newest stored cell of the series. A point may be ahead of `now_ms` by a cadence,
    an hour at most: the clocks of two machines differ a little. Raises `ValueError` for a cadence
    that is not a whole number of minutes.
    """
    key, cadence, points = batch
    if cadence < MINUTE_MS or cadence % MINUTE_MS:
        raise ValueError(f"a cadence of {cadence} ms is no whole number of minutes")
    grid, isfinite = grid_of(key, cadence), math.isfinite
    earliest = now_ms - retention_ms
    lowest = earliest if backfill or newest is None else max(earliest, newest)
    highest = now_ms + min(cadence, HOUR_MS)
    cells: dict[int, Point] = {}
    refused = expired = 0
    for t, v, extra in points:
        if v is None or not isfinite(v):
            continue
        at = t // grid * grid
        if lowest <= at <= highest:
            cells[at] = Point(at, v, extra)
        elif at < earliest:
            expired += 1
        else:
            refused += 1
    return Admitted([cells[at] for at in sorted(cells)], refused, expired)


class Gap(NamedTuple):
    """A stretch without points: the last point before it and the first after it, epoch ms."""

    after: int
    before: int


def gaps(points: Iterable[Point], cadence_ms: int, *, settled: bool = False) -> list[Gap]:
    """Where a series has no points although it should: neighbours more than 1.5 cadences apart.

    With `settled`, a point that carries `periodHours` is expected that long after the one before
    it instead: a symbol that now pays every 4 hours has no gaps from when it paid every 8.
    """
    found: list[Gap] = []
    before: int | None = None
    for t, _, extra in points:
        hours = extra.get("periodHours") if settled and extra else None
        spacing = hours * HOUR_MS if hours else cadence_ms
        if before is not None and t - before > 1.5 * spacing:
            found.append(Gap(before, t))
        before = t
    return found


# Where a store lies is nobody's business who may read an answer or the status.
_PLACES = re.compile(r"(?<!\S)(?:sqlite:|rediss?://|[A-Za-z]:\\|/)\S*[^\s:;,.]")


def nameless(text: str, name: str = "", instead: str = "the store") -> str:
    """A text without places of stores; `name` is the one that it is about, where that is known."""
    for place in (name, name.removeprefix("sqlite:")):
        # A path may have spaces in it.
        if "/" in place or "\\" in place:
            text = text.replace(place, instead)
    return _PLACES.sub(instead, text)
