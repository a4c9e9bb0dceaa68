"""The default history store: one SQLite file (`sqlite_file` opens it, `sqlite_schema` draws it).

Everything runs in worker threads: one that writes, a transaction for each call, and a few that
read; the event loop never waits for a disk.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from mmflow_mcp.clock import Clock
from mmflow_mcp.series.extras import from_text, texts_of
from mmflow_mcp.series.sqlite_file import READERS, Damaged, Report, SqliteFile, log
from mmflow_mcp.series.sqlite_schema import SLOT_ZERO, slot_of
from mmflow_mcp.series.store import (
    FOREVER,
    MINUTE_MS,
    WEEK_MS,
    Admitted,
    Batch,
    Point,
    SeriesKey,
    Stored,
    Written,
    admit,
)

T = TypeVar("T")
# Beyond so many different extras of one series, those that no point uses any more are removed.
EXTRAS_KEPT = 256
PRUNED_AT_ONCE = 50

FIND = "SELECT id FROM series WHERE key = ?"
KNOWN = (
    "SELECT id, cadence, (SELECT min(slot) FROM point WHERE series = id),"
    " (SELECT max(slot) FROM point WHERE series = id) FROM series WHERE key = ?"
)
ADD = (
    "INSERT INTO series (key, cadence) VALUES (?, ?)"
    " ON CONFLICT (key) DO UPDATE SET cadence = excluded.cadence"
)
PUT = (
    "INSERT INTO point VALUES (?, ?, ?, ?) ON CONFLICT (series, slot)"
    " DO UPDATE SET value = excluded.value, extra = excluded.extra"
)
SPAN = "FROM point WHERE series = ? AND slot BETWEEN ? AND ?"
READ = f"SELECT (slot + {SLOT_ZERO}) * {MINUTE_MS}, value, extra {SPAN} ORDER BY slot"
COUNTS = (
    "SELECT key, cadence, min(slot), max(slot), count(*)"
    " FROM series JOIN point ON series = id GROUP BY id"
)


class SqliteStore:
    """Keeps series in one file, which is made at the first use.

    A damaged file is moved aside and told to `report`; where nothing can be written, reads go on
    and writes raise `StoreUnwritable` until it can be written again.
    """

    def __init__(
        self,
        path: Path,
        *,
        kind: str,
        clock: Clock,
        retention_ms: int = WEEK_MS,
        report: Report = log.warning,
    ) -> None:
        self.name = f"sqlite:{path}"
        self._file = SqliteFile(path, kind, report)
        self._clock = clock
        self._retention_ms = retention_ms
        self._one_writer = CapacityLimiter(1)
        self._few_readers = CapacityLimiter(READERS)

    async def write(self, batches: Sequence[Batch], *, backfill: bool = False) -> Written:
        """Store points in one transaction; see `SeriesStore`."""
        now = self._clock.now_ms()

        def work(db: sqlite3.Connection) -> Written:
            return Written.of([self._put(db, batch, now, backfill=backfill) for batch in batches])

        return await self._write(work)

    def _put(self, db: sqlite3.Connection, batch: Batch, now: int, *, backfill: bool) -> Admitted:
        key = batch.key.text
        known = db.execute(KNOWN, (key,)).fetchone()
        number: int
        number, cadence, first, last = known or (0, None, None, None)
        admitted = admit(
            batch,
            newest=None if last is None else (last + SLOT_ZERO) * MINUTE_MS,
            now_ms=now,
            retention_ms=self._retention_ms,
            backfill=backfill,
        )
        if admitted.points:
            if cadence != batch.cadence_ms:
                db.execute(ADD, (key, batch.cadence_ms))
                (number,) = db.execute(FIND, (key,)).fetchone()
            numbers = _extra_numbers(db, number, admitted.points)
            rows = [
                (number, t // MINUTE_MS - SLOT_ZERO, v, numbers[id(extra)])
                for t, v, extra in admitted.points
            ]
            db.executemany(PUT, rows)
        if first is not None and first <= self._expired(number, now)[-1]:
            self._expire(db, number, now)
        return admitted

    async def read(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> list[Point]:
        """The points of a stretch, ascending; see `SeriesStore`."""
        since = max(since_ms, self._clock.now_ms() - self._retention_ms)

        def work(db: sqlite3.Connection) -> list[Point]:
            found = db.execute(FIND, (key.text,)).fetchone()
            if not found:
                return []
            number = found[0]
            rows = db.execute(READ, _span(number, since, until_ms)).fetchall()
            texts = db.execute("SELECT id, text FROM extra WHERE series = ?", (number,))
            extras = {x: from_text(text) for x, text in texts} | {None: None}
            # Thrice as fast as calling the class, and most of a read is this.
            made = tuple.__new__
            return [made(Point, (t, v, extras[x])) for t, v, x in rows]

        return await self._read(work)

    async def series(self) -> list[Stored]:
        """Everything that is stored, counted by reading all of it; see `SeriesStore`."""

        def work(db: sqlite3.Connection) -> list[Stored]:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            free = db.execute("PRAGMA freelist_count").fetchone()[0]
            size = (pages - free) * db.execute("PRAGMA page_size").fetchone()[0]
            rows = db.execute(COUNTS).fetchall()
            total = sum(row[4] for row in rows)
            return sorted(
                Stored(
                    SeriesKey.read(key),
                    cadence,
                    (first + SLOT_ZERO) * MINUTE_MS,
                    (last + SLOT_ZERO) * MINUTE_MS,
                    count,
                    size * count // total,
                )
                for key, cadence, first, last, count in rows
            )

        return await self._read(work)

    async def delete(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> int:
        """Remove points; see `SeriesStore`. The space is used again, the file does not shrink."""

        def work(db: sqlite3.Connection) -> int:
            found = db.execute(FIND, (key.text,)).fetchone()
            if not found:
                return 0
            gone = db.execute(f"DELETE {SPAN}", _span(found[0], since_ms, until_ms)).rowcount
            _forget_empty(db, found[0])
            return gone

        return await self._write(work)

    async def prune(self, now_ms: int) -> int:
        """Remove what is past the retention; see `SeriesStore`."""
        numbers = await self._read(lambda db: db.execute("SELECT id FROM series").fetchall())

        def work(db: sqlite3.Connection, some: Sequence[tuple[int]]) -> int:
            gone = 0
            for (number,) in some:
                gone += self._expire(db, number, now_ms)
                _forget_empty(db, number)
                _forget_extras(db, number)
            return gone

        # Not all at once: another process that wants to write does not wait for ever.
        parts = [numbers[i : i + PRUNED_AT_ONCE] for i in range(0, len(numbers), PRUNED_AT_ONCE)]
        return sum([await self._write(partial(work, some=part)) for part in parts])

    async def close(self) -> None:
        """Close the file."""
        await anyio.to_thread.run_sync(self._file.close)

    def _expire(self, db: sqlite3.Connection, number: int, now: int) -> int:
        return db.execute(f"DELETE {SPAN}", self._expired(number, now)).rowcount

    def _expired(self, number: int, now: int) -> tuple[int, int, int]:
        return _span(number, 0, now - self._retention_ms - 1)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await _run(work, self._file.writing, self._one_writer)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await _run(work, self._file.reading, self._few_readers)


async def _run(
    work: Callable[[sqlite3.Connection], T],
    connected: Callable[[], AbstractContextManager[sqlite3.Connection]],
    limiter: CapacityLimiter,
) -> T:
    """Do something with a connection, in a thread; once more when the file was set aside."""

    def attempt() -> T:
        with connected() as connection:
            return work(connection)

    def try_twice() -> T:
        try:
            return attempt()
        except Damaged:
            return attempt()

    return await anyio.to_thread.run_sync(try_twice, limiter=limiter)


def _span(number: int, since_ms: int, until_ms: int) -> tuple[int, int, int]:
    """A series and the slots with since <= t <= until."""
    return number, slot_of(since_ms + MINUTE_MS - 1), slot_of(until_ms)


def _extra_numbers(
    db: sqlite3.Connection, series: int, points: Iterable[Point]
) -> dict[int, int | None]:
    """The number of each extra in its series, by its `id`; new ones are added to the file."""
    texts = texts_of(points)
    if len(texts) == 1:
        return {id(None): None}
    rows = db.execute("SELECT text, id FROM extra WHERE series = ?", (series,))
    known: dict[str | None, int | None] = {None: None, **dict(rows.fetchall())}
    for text in texts.values():
        if text not in known:
            known[text] = max(filter(None, known.values()), default=0) + 1
            db.execute("INSERT INTO extra VALUES (?, ?, ?)", (series, known[text], text))
    return {name: known[text] for name, text in texts.items()}


def _forget_empty(db: sqlite3.Connection, number: int) -> None:
    """Forget a series that has no points."""
    if db.execute("SELECT 1 FROM point WHERE series = ? LIMIT 1", (number,)).fetchone() is None:
        db.execute("DELETE FROM extra WHERE series = ?", (number,))
        db.execute("DELETE FROM series WHERE id = ?", (number,))


def _forget_extras(db: sqlite3.Connection, number: int) -> None:
    """Remove the extras of a series that no point uses, where there are many."""
    many = db.execute("SELECT count(*) FROM extra WHERE series = ?", (number,)).fetchone()[0]
    if many > EXTRAS_KEPT:
        db.execute(
            "DELETE FROM extra WHERE series = ?1 AND id NOT IN"
            " (SELECT extra FROM point WHERE series = ?1 AND extra IS NOT NULL)",
            (number,),
        )
