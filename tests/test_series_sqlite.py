"""The SQLite history under fire: killed, full, read-only, damaged, old, of another kind."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import crash_writer
import pytest
from stores import FUNDING, NOW, OI, SETTLED, STEP, Place, batch, sampled

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import StoreAway, StoreMismatch, StoreUnwritable
from mmflow_mcp.series import sqlite_file
from mmflow_mcp.series.sqlite import EXTRAS_KEPT, SqliteStore
from mmflow_mcp.series.store import Batch, Point, SeriesKey, Written

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[1]
POINTS = sampled([float(i) for i in range(900)])


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """An empty folder for a file."""
    made = Place("sqlite", tmp_path, None)
    yield made
    await made.close()


def store_of(place: Place, kind: str = "live") -> SqliteStore:
    """A store whose inside a test looks at."""
    return SqliteStore(place.path, kind=kind, clock=place.clock, report=place.told.append)


class Writers:
    """Processes that write to a file, one after the other, until each is killed."""

    def __init__(self, path: Path) -> None:
        program = [sys.executable, "tests/crash_writer.py", str(path), "20"]
        pipe = subprocess.PIPE
        here = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._starter = subprocess.Popen(
            program, cwd=ROOT, stdin=pipe, stdout=pipe, env=here, text=True, bufsize=1
        )

    def write_and_die(self, first: int, rounds: int) -> list[int]:
        """Let one write from round `first` on, kill it after some: those it had acknowledged."""
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.write(f"{first}\n")
        writer = int(self._starter.stdout.readline())
        said = [int(self._starter.stdout.readline()) for _ in range(rounds)]
        os.kill(writer, signal.SIGKILL)
        while (line := self._starter.stdout.readline()) != "dead\n":
            said.append(int(line))
        return said

    def close(self) -> None:
        """End the process that starts the others."""
        self._starter.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork and no kill -9 here")
async def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    """kill -9 ten times in the middle of writing: every acknowledged round is there, and whole."""
    path = tmp_path / "history.sqlite"
    writers = Writers(path)
    acknowledged: list[int] = []
    for i in range(10):
        acknowledged += writers.write_and_die(5000 * i, 3 + i)
    writers.close()
    store = crash_writer.store_at(path)
    found = [await store.read(key) for key in crash_writer.keys(20)]
    held = [(p.t - crash_writer.NOW) // STEP for p in found[0]]
    assert set(acknowledged) <= set(held)
    # Of each process, the round it was writing when it died may be there unacknowledged.
    assert len(held) <= len(acknowledged) + 10
    assert [float(n) for n in held] == [p.v for p in found[0]]
    assert all(found[0] == series for series in found)
    assert Written(1) == await store.write([Batch(OI, STEP, [Point(NOW, 1.0)])], backfill=True)
    await store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork and no kill -9 here")
async def test_two_processes_write_at_once(tmp_path: Path) -> None:
    """The same series, in turn the same cells and others: no error, and everything is there."""
    path = tmp_path / "history.sqlite"
    writers, store = Writers(path), crash_writer.store_at(path)
    theirs: list[int] = []

    async def write_theirs() -> None:
        theirs.extend(await anyio.to_thread.run_sync(writers.write_and_die, 0, 40))

    ours = range(-20, 40)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write_theirs)
        for n in ours:
            point = Point(crash_writer.NOW + n * STEP, float(n))
            batches = [Batch(key, STEP, [point]) for key in crash_writer.keys(20)]
            assert Written(20) == await store.write(batches, backfill=True)
    writers.close()
    expected = {crash_writer.NOW + n * STEP: float(n) for n in (*ours, *theirs)}
    for key in crash_writer.keys(20):
        found = {p.t: p.v for p in await store.read(key)}
        assert expected.items() <= found.items()
        assert len(found) <= len(expected) + 1
    await store.close()


async def test_a_read_sees_one_state_of_the_file(place: Place) -> None:
    """While it lasts another process deletes the series, and its number goes to another one."""
    ours, theirs = store_of(place), store_of(place)
    await ours.write([batch(sampled([1.0]))])
    find, points = "SELECT id FROM series WHERE key = ?", "SELECT value FROM point WHERE series = ?"
    with ours._file.reading() as db:
        number = db.execute(find, (OI.text,)).fetchone()
        await theirs.delete(OI)
        await theirs.write([batch(sampled([9.0]), FUNDING)])
        assert [(1.0,)] == db.execute(points, number).fetchall()
    with ours._file.reading() as db:
        assert number == db.execute(find, (FUNDING.text,)).fetchone()
    assert ([], sampled([9.0])) == (await ours.read(OI), await ours.read(FUNDING))
    await ours.close()
    await theirs.close()


async def test_a_full_disk_fails_the_write_and_nothing_else(place: Place) -> None:
    """Reads go on, what was written stays, and when there is space again writing goes on."""
    store = store_of(place)
    await store.write([batch(sampled([1.0, 2.0]))])
    with store._file.writing() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
    limit(store, pages + 2)
    many = [batch(POINTS, SeriesKey("oi", "hl", f"C{i}", "sampled")) for i in range(9)]
    with pytest.raises(StoreUnwritable, match="the disk is full"):
        await store.write(many)
    assert sampled([1.0, 2.0]) == await store.read(OI)
    assert [OI] == [held.key for held in await store.series()]
    limit(store, 1_000_000)
    assert Written(8100) == await store.write(many)
    await store.close()


def limit(store: SqliteStore, pages: int) -> None:
    """Let the file have so many pages at most, as a disk of that size would."""
    store._file._open().execute(f"PRAGMA max_page_count={pages}")


@contextmanager
def read_only_folder() -> Iterator[Path]:
    """A folder that this process cannot write; root becomes nobody for as long as that."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside the block nothing in the folder can be written by this process."""
    if sys.platform == "win32":
        pytest.skip("folders have no mode here")
    root = os.geteuid() == 0
    modes = {path: path.stat().st_mode for path in folder.iterdir()}
    for path in modes:
        path.chmod(0o444)
    folder.chmod(0o555)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        for path, mode in modes.items():
            path.chmod(mode)


async def test_a_read_only_folder_can_be_read(place: Place) -> None:
    """Opened there or before: reads answer, writes say why not, and later writing goes on."""
    with read_only_folder() as folder:
        place.path = folder / "history.sqlite"
        first = store_of(place)
        await first.write([batch(POINTS)])
        await first.close()
        second = store_of(place)
        with locked(folder):
            assert POINTS == await second.read(OI)
            with pytest.raises(StoreUnwritable, match=r"history.sqlite: it cannot be"):
                await second.write([batch([Point(NOW, 1.0)])])
            assert POINTS == await second.read(OI)
        assert Written(1) == await second.write([batch([Point(NOW, 1.0)])])
        assert Point(NOW, 1.0) == (await second.read(OI))[-1]
        await second.close()


async def test_a_file_that_could_only_be_read_is_written_when_it_can_be(place: Place) -> None:
    """Another process keeps the log, so this one opens it, for reading; later it opens it anew."""
    with read_only_folder() as folder:
        place.path = folder / "history.sqlite"
        first, second = store_of(place), store_of(place)
        await first.write([batch(sampled([1.0], until=NOW - STEP))])
        with locked(folder):
            assert [1.0] == [p.v for p in await second.read(OI)]
            with pytest.raises(StoreUnwritable, match="it cannot be written"):
                await second.write([batch(sampled([2.0]))])
        assert Written(1) == await second.write([batch(sampled([2.0]))])
        assert sampled([1.0, 2.0]) == await first.read(OI)
        await first.close()
        await second.close()


async def test_a_folder_that_cannot_be_made_is_away(place: Place, tmp_path: Path) -> None:
    """A file stands in its place: neither reads nor writes, and a plain sentence."""
    (tmp_path / "data").write_text("not a folder")
    place.path = tmp_path / "data" / "history.sqlite"
    store = store_of(place)
    with pytest.raises(StoreUnwritable, match="cannot be opened"):
        await store.write([batch(POINTS)])
    with pytest.raises(StoreAway, match="does not exist and cannot be made"):
        await store.read(OI)
    (tmp_path / "data").unlink()
    assert Written(900) == await store.write([batch(POINTS)])
    await store.close()


@pytest.mark.parametrize("harm", ["header", "middle", "cut"])
async def test_a_damaged_file_is_moved_aside_and_told(place: Place, harm: str) -> None:
    """Never deleted: a new history begins beside it, in the very call that found the damage."""
    first = store_of(place)
    await first.write([batch(POINTS), batch(POINTS, FUNDING)])
    await first.close()
    content = bytearray(place.path.read_bytes())
    if harm == "header":
        content[:100] = b"no database at all".ljust(100, b".")
    elif harm == "middle":
        content[4096:-4096] = b"\xa5" * (len(content) - 8192)
    else:
        del content[len(content) // 2 :]
    place.path.write_bytes(content)

    second = store_of(place)
    assert Written(1) == await second.write([batch([Point(NOW, 7.0)])])
    assert [Point(NOW, 7.0)] == await second.read(OI)
    (aside,) = place.path.parent.glob("history.sqlite.corrupt-*Z")
    assert bytes(content) == aside.read_bytes()
    assert 1 == len(place.told)
    assert aside.name in place.told[0]
    await second.close()


async def test_several_that_find_the_damage_at_once_move_one_file(place: Place) -> None:
    """Nobody takes the new history for the damaged one, and all that was written is there."""
    place.path.write_bytes(b"no database at all " * 999)
    stores = [store_of(place) for _ in range(6)]
    keys = [SeriesKey("oi", "hl", f"C{i}", "sampled") for i in range(6)]
    async with anyio.create_task_group() as tasks:
        for store, key in zip(stores, keys, strict=True):
            tasks.start_soon(store.write, [batch(sampled([1.0]), key)])
    assert keys == [held.key for held in await stores[0].series()]
    assert 1 == len(list(place.path.parent.glob("*.corrupt-*Z*")))
    assert 1 == len(place.told)
    for store in stores:
        await store.close()


async def test_who_comes_late_to_a_damaged_file_leaves_the_new_one_alone(place: Place) -> None:
    """Two found the damage; when the second one comes to move it, the first has begun anew."""
    place.path.write_bytes(b"no database at all " * 999)
    late, first = store_of(place), store_of(place)
    with pytest.raises(sqlite3.DatabaseError):
        late._file._open()
    await first.write([batch(sampled([1.0]))])
    assert "it has been moved aside already" == late._file._set_aside()
    assert sampled([1.0]) == await late.read(OI)
    assert 1 == len(list(place.path.parent.glob("*.corrupt-*Z")))
    await late.close()
    await first.close()


async def test_a_read_only_file_is_not_read_without_its_log(place: Place) -> None:
    """The log of a process that was killed holds the newest points: better none than old ones."""
    with read_only_folder() as folder:
        place.path = folder / "history.sqlite"
        first = store_of(place)
        await first.write([batch(sampled([1.0], until=NOW - STEP))])
        await first.close()
        second = store_of(place)
        await second.write([batch(sampled([2.0]))])
        copies = {p: p.read_bytes() for p in folder.iterdir() if not p.name.endswith("-shm")}
        await second.close()
        for path in folder.iterdir():
            path.unlink()
        for path, content in copies.items():
            path.write_bytes(content)
        third = store_of(place)
        with locked(folder), pytest.raises(StoreAway, match="cannot be read"):
            await third.read(OI)
        assert sampled([1.0, 2.0]) == await third.read(OI)
        await third.close()


async def test_damage_found_by_a_reader_is_moved_aside_too(place: Place) -> None:
    """The read then answers from the new, empty history, and the report says why."""
    first = store_of(place)
    await first.write([batch(POINTS)])
    await first.close()
    content = bytearray(place.path.read_bytes())
    content[4096:-4096] = b"\xa5" * (len(content) - 8192)
    place.path.write_bytes(content)
    second = store_of(place)
    assert [] == await second.read(OI)
    assert 1 == len(list(place.path.parent.glob("*.corrupt-*Z")))
    assert 1 == len(place.told)
    await second.close()


async def test_a_file_that_was_replaced_is_opened_anew(place: Place) -> None:
    """Another process moved a damaged file aside: this one goes on in the new one."""
    ours, theirs = store_of(place), store_of(place)
    await ours.write([batch(sampled([1.0]))])
    await ours.read(OI)
    await theirs.write([batch(sampled([2.0]))])
    with theirs._file._meaning(writing=True):
        theirs._file._set_aside()
    await theirs.write([batch(sampled([3.0], until=NOW - STEP))])
    # Ours lets go of the old file now, and must not take the log of the new one with it.
    assert sampled([3.0], until=NOW - STEP) == await ours.read(OI)
    await ours.write([batch(sampled([4.0]))])
    await ours.close()
    assert sampled([3.0, 4.0]) == await theirs.read(OI)
    await theirs.close()
    (aside,) = place.path.parent.glob("history.sqlite.corrupt-*Z")
    with closing(sqlite3.connect(aside)) as db:
        assert [(2.0,)] == db.execute("SELECT value FROM point").fetchall()


async def test_a_file_deleted_while_it_is_open_is_begun_again(place: Place) -> None:
    """What is written afterwards is in a file that has a name."""
    store = store_of(place)
    await store.write([batch(sampled([1.0]))])
    place.path.unlink()
    await store.write([batch(sampled([2.0]))])
    await store.close()
    again = store_of(place)
    assert sampled([2.0]) == await again.read(OI)
    await again.close()


@pytest.mark.parametrize("kind", ["sim", "replay"])
async def test_another_kind_of_source_is_refused(place: Place, kind: str) -> None:
    """Simulated points never land among live ones, and live ones are not read as simulated."""
    live = store_of(place)
    await live.write([batch(sampled([1.0]))])
    other = store_of(place, kind)
    with pytest.raises(StoreMismatch, match=f"what came from live; {kind} needs"):
        await other.write([batch(sampled([2.0]))])
    with pytest.raises(StoreMismatch, match="what came from live"):
        await other.read(OI)
    assert sampled([1.0]) == await live.read(OI)
    await live.close()


async def test_a_database_of_someone_else_is_not_touched(place: Place) -> None:
    """Not a byte, whatever is asked."""
    with closing(sqlite3.connect(place.path)) as db:
        db.execute("CREATE TABLE invoices (amount REAL)")
    before = place.path.read_bytes()
    store = store_of(place)
    for _ in range(2):
        with pytest.raises(StoreMismatch, match="no history of mmflow-mcp"):
            await store.write([batch(sampled([1.0]))])
        with pytest.raises(StoreMismatch, match="no history of mmflow-mcp"):
            await store.read(OI)
    await store.close()
    assert before == place.path.read_bytes()
    assert [place.path] == list(place.path.parent.iterdir())


async def test_a_file_of_a_newer_version_is_refused(place: Place) -> None:
    """An older program does not guess what newer tables mean, nor move them aside."""
    first = store_of(place)
    await first.write([batch(sampled([1.0]))])
    await first.close()
    with closing(sqlite3.connect(place.path)) as db:
        db.execute("PRAGMA user_version=99")
    second = store_of(place)
    with pytest.raises(StoreMismatch, match="version 99, this program knows 2: update it"):
        await second.read(OI)
    assert [] == list(place.path.parent.glob("*corrupt*"))


# What the first version made: points by name and milliseconds, the period as a column.
VERSION_1 = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO about VALUES ('kind', 'live');
CREATE TABLE points (
  metric TEXT, venue TEXT, coin TEXT, kind TEXT, cadence INTEGER, t INTEGER, v REAL, period REAL,
  PRIMARY KEY (metric, venue, coin, kind, t)
);
PRAGMA application_id=1835886188;
PRAGMA user_version=1;
"""


def old_file(path: Path, rows: list[tuple[SeriesKey, Point]]) -> None:
    """A history of version 1."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
        db.executemany(
            "INSERT INTO points VALUES (?, ?, ?, ?, 600000, ?, ?, ?)",
            [
                (k.metric, k.venue, k.coin, k.kind, p.t, p.v, (p.extra or {}).get("periodHours"))
                for k, p in rows
            ],
        )
        db.commit()


async def test_a_history_of_an_older_version_is_migrated(place: Place) -> None:
    """Every point with its period, and the file goes on as one of today."""
    rated = [p._replace(extra={"periodHours": 8}) for p in sampled([1e-4, 2e-4])]
    rated.append(Point(NOW + STEP, 3e-4, {"periodHours": 0.5}))
    plain = sampled([float(i) for i in range(500)])
    paid = [Point(NOW - 60_000, 5e-4, {"periodHours": 1})]
    old_file(
        place.path,
        [(OI, p) for p in plain] + [(FUNDING, p) for p in rated] + [(SETTLED, p) for p in paid],
    )
    place.clock.advance(STEP / 1000)
    store = store_of(place)
    assert plain == await store.read(OI)
    assert rated == await store.read(FUNDING)
    assert paid == await store.read(SETTLED)
    assert [STEP] * 3 == [held.cadence_ms for held in await store.series()]
    assert [f"{place.path}: migrated from version 1 to 2"] == place.told
    assert Written(1) == await store.write([batch([Point(NOW + STEP, 9.0)])])
    await store.close()


async def test_a_migration_that_fails_leaves_the_old_file(place: Place) -> None:
    """All of it or nothing: what was there can be migrated by a later try."""
    old_file(place.path, [(OI, p) for p in sampled([1.0])])
    with closing(sqlite3.connect(place.path)) as db:
        db.execute("CREATE TABLE point (x)")
    store = store_of(place)
    with pytest.raises(StoreUnwritable, match="already exists"):
        await store.write([batch(sampled([1.0]))])
    with closing(sqlite3.connect(place.path)) as db:
        db.execute("DROP TABLE point")
    assert sampled([1.0]) == await store.read(OI)
    await store.close()


async def test_two_processes_open_a_new_file_at_once(place: Place) -> None:
    """Nobody is told that the file is locked, and all that was written is there."""
    stores = [store_of(place) for _ in range(6)]
    keys = [SeriesKey("oi", "hl", f"C{i}", "sampled") for i in range(6)]
    async with anyio.create_task_group() as tasks:
        for store, key in zip(stores, keys, strict=True):
            tasks.start_soon(store.write, [batch(POINTS, key)])
    assert [900] * 6 == [held.count for held in await stores[0].series()]
    for store in stores:
        await store.close()


async def test_a_file_that_another_holds_too_long_is_unwritable(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that two writers wait for each other; readers are not held up."""
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    store = store_of(place)
    await store.write([batch(sampled([1.0]))])
    with closing(sqlite3.connect(place.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnwritable, match=r"another process has held it for 0\.05 s"):
            await store.write([batch(sampled([2.0]))])
        assert sampled([1.0]) == await store.read(OI)
    assert Written(1) == await store.write([batch(sampled([2.0]))])
    await store.close()


async def test_a_point_takes_forty_bytes_at_most(place: Place) -> None:
    """Rates with their periods, written as a recorder does, a round at a time: about 24 bytes."""
    store = store_of(place)
    keys = [SeriesKey("funding", "binance", f"C{i}", "predicted") for i in range(40)]
    for n in range(100):
        t = NOW - (99 - n) * STEP
        value = Point(t, 1.0 / (n + 3), {"periodHours": 8 if n % 3 else 4})
        await store.write([batch([value], key) for key in keys])
    held = await store.series()
    await store.close()
    assert 4000 == sum(s.count for s in held)
    assert place.path.stat().st_size / 4000 <= 40


async def test_extras_that_nobody_uses_are_forgotten(place: Place) -> None:
    """A series whose every point says something else does not grow without end."""
    store = store_of(place)
    for day in range(3):
        points = [
            Point(NOW - (499 - i) * 60_000, 1.0, {"source": f"{day} {i}"}) for i in range(500)
        ]
        await store.write([Batch(OI, 60_000, points)], backfill=True)
    await store.prune(NOW)
    with closing(sqlite3.connect(place.path)) as db:
        (count,) = db.execute("SELECT count(*) FROM extra").fetchone()
    assert EXTRAS_KEPT < count == 500
    assert [{"source": f"2 {i}"} for i in range(500)] == [p.extra for p in await store.read(OI)]
    await store.close()


async def test_the_loop_is_free_while_the_disk_works(place: Place) -> None:
    """A write of many points lets other tasks run: it happens in a thread."""
    store = store_of(place)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turn)
        keys = [SeriesKey("oi", "hl", f"C{i}", "sampled") for i in range(20)]
        await store.write([batch(POINTS, key) for key in keys])
        tasks.cancel_scope.cancel()
    assert turns >= 5
    await store.close()


async def test_a_cancelled_write_is_whole_or_absent(place: Place) -> None:
    """Who gives up waiting leaves no half of a transaction behind, nor a locked file."""
    store = store_of(place)
    await store.write([batch([])])
    keys = [SeriesKey("oi", "hl", f"C{i}", "sampled") for i in range(20)]
    with anyio.move_on_after(0.001):
        await store.write([batch(POINTS, key) for key in keys])
    assert {900} >= {held.count for held in await store.series()}
    assert Written(1) == await store.write([batch([Point(NOW, 1.0)])])
    await store.close()


async def test_a_file_in_a_folder_to_come_is_made(place: Place, tmp_path: Path) -> None:
    """The user's data folder need not exist before the first point."""
    place.path = tmp_path / "a" / "b" / "history.sqlite"
    store = store_of(place)
    await store.write([batch(sampled([1.0]))])
    await store.close()
    assert place.path.is_file()
    # Closed, it is one file: the log is folded in.
    assert [place.path] == list(place.path.parent.iterdir())


async def test_a_store_that_nobody_used_leaves_no_file(place: Place) -> None:
    """Opening is left to the first call."""
    store = SqliteStore(place.path, kind="live", clock=FixedClock(NOW))
    await store.close()
    assert not place.path.exists()
