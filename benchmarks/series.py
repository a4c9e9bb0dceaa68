"""History: reading a week of one series, writing in batches, bytes a point, and how reads grow.

The growth is measured on files of a year of 10-minute points of 24, 100 and 300 series, from any
week of any series. They take about 500 MB for as long as it lasts, a minute or so.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio
from common import ROOT, Figure

from mmflow_mcp.clock import DAY_MS, FixedClock
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.series.redis import RedisStore
from mmflow_mcp.series.sqlite import SqliteStore
from mmflow_mcp.series.sqlite_schema import slot_of
from mmflow_mcp.series.store import WEEK_MS, Batch, Point, SeriesKey, SeriesStore

sys.path.insert(0, str(ROOT / "tests"))

from servers import NO_SERVER, redis_process

NOW = 1_789_434_000_000
STEP = 600_000
WEEK = 1008
YEAR = 52_560
# Whatever else the machine does only adds to a time: the best of several rounds is the figure.
ROUNDS = 5
READS = 51
CURVE = (24, 100, 300)
CLOCK = FixedClock(NOW)
BEST = f"best of {ROUNDS}"

Say = Callable[[str], None]


def measure(say: Say) -> list[Figure]:
    """SQLite, then Redis where a server can be started."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        figures += anyio.run(_sqlite, Path(folder) / "history.sqlite", say)
        figures += anyio.run(_growth, Path(folder), say)
    with redis_process() as server:
        if server is None:
            say(f"series: Redis is skipped: {NO_SERVER}")
        else:
            figures += anyio.run(_redis, server.url, say)
    return figures


async def _sqlite(path: Path, say: Say) -> list[Figure]:
    store = SqliteStore(path, kind="live", clock=CLOCK)
    await store.series()
    wrote = await _write(store)
    read = await _read(store)
    round_ms = await _round(store)
    held = await store.series()
    each = [sum(s.size for s in held if s.key.metric == m) for m in ("funding", "oi")]
    await store.close()
    say(
        f"sqlite: {wrote:.2f} s for 100,000, {read:.2f} ms a week, round of 4,800 {round_ms:.0f} ms"
    )
    size = max(each[0] / (50 * WEEK), each[1] / (50 * WEEK + 4800))
    return [
        Figure("a week of one series, SQLite", read, 3, "ms", f"{WEEK} points, {BEST}"),
        Figure("100,000 points written, SQLite", wrote, 1, "s", f"100 series, one call, {BEST}"),
        Figure("a point on disk, SQLite", size, 40, "bytes", "funding with its period, OI"),
    ]


async def _redis(url: str, say: Say) -> list[Figure]:
    server = RedisServer(url)
    store = RedisStore(server, kind="live", clock=CLOCK)
    await store.series()
    before = (await server.client.info("memory"))["used_memory"]
    wrote = await _write(store)
    used = (await server.client.info("memory"))["used_memory"] - before
    read = await _read(store)
    round_ms = await _round(store)
    await store.close()
    say(f"redis: {wrote:.2f} s for 100,000, {read:.2f} ms a week, {round_ms:.0f} ms a round")
    size = used / (100 * WEEK)
    return [
        Figure("a week of one series, Redis", read, 5, "ms", f"{WEEK} points, {BEST}"),
        Figure("100,000 points written, Redis", wrote, 1, "s", f"100 series, one call, {BEST}"),
        Figure("a point in memory, Redis", size, 40, "bytes", "funding with its period, OI"),
    ]


def _keys(metric: str, n: int) -> list[SeriesKey]:
    kind = "predicted" if metric == "funding" else "sampled"
    return [SeriesKey(metric, "binance", f"C{i}", kind) for i in range(n)]


async def _write(store: SeriesStore) -> float:
    """Seconds for 100,000 points: a week of 50 funding and 50 open interest series."""
    noise = random.Random(1)
    batches = []
    for key in (*_keys("funding", 50), *_keys("oi", 50)):
        extra = {"periodHours": 8} if key.metric == "funding" else None
        start = NOW - (WEEK - 1) * STEP
        points = [Point(start + i * STEP, noise.random(), extra) for i in range(WEEK)]
        batches.append(Batch(key, STEP, points))
    times = []
    for _ in range(ROUNDS):
        for batch in batches:
            await store.delete(batch.key)
        started = time.perf_counter()
        written = await store.write(batches, backfill=True)
        times.append(time.perf_counter() - started)
        assert written.stored == 100 * WEEK
    return min(times) / WEEK * 1000


async def _read(store: SeriesStore) -> float:
    """Milliseconds for a week of one series with its periods, the best of some medians."""
    keys = _keys("funding", 50)
    medians = []
    for _ in range(ROUNDS):
        times = [await _time(store, key, NOW - WEEK_MS, NOW) for key in keys]
        medians.append(statistics.median(times))
    return min(medians)


async def _time(store: SeriesStore, key: SeriesKey, since: int, until: int) -> float:
    """Milliseconds for one read that finds a week."""
    started = time.perf_counter()
    points = await store.read(key, since, until)
    spent = time.perf_counter() - started
    assert len(points) == WEEK
    return spent * 1000


async def _round(store: SeriesStore) -> float:
    """Milliseconds for one sample of each of 4,800 series, as a full recorder takes them."""
    batches = [Batch(key, STEP, [Point(NOW, 1.5)]) for key in _keys("oi", 4800)]
    started = time.perf_counter()
    await store.write(batches)
    return (time.perf_counter() - started) * 1000


async def _growth(folder: Path, say: Say) -> list[Figure]:
    """How much longer a week takes in a large file than in a small one, asked in turn."""
    stores = {}
    began = time.perf_counter()
    for n in CURVE:
        path = folder / f"{n}.sqlite"
        stores[n] = SqliteStore(path, kind="live", clock=CLOCK, retention_ms=2 * 365 * DAY_MS)
        await stores[n].series()
        await anyio.to_thread.run_sync(_fill, stores[n], n)
    # In turn, read by read: what else the machine does falls on all of them alike.
    times: dict[int, list[float]] = {n: [] for n in CURVE}
    for _ in range(ROUNDS * READS):
        for n, store in stores.items():
            end = NOW - random.randrange(YEAR - WEEK) * STEP
            question = (random.choice(_keys("oi", n)), end - (WEEK - 1) * STEP, end)
            times[n].append(await _time(store, *question))
    medians = {n: statistics.median(spent) for n, spent in times.items()}
    for n, store in stores.items():
        size = (await store.series())[0].size / YEAR
        say(f"growth: {n * YEAR / 1e6:.1f} million points, {medians[n]:.2f} ms, {size:.1f} bytes")
        await store.close()
    say(f"growth: {time.perf_counter() - began:.0f} s in all")
    ratio = medians[CURVE[-1]] / medians[CURVE[0]]
    meaning = f"{CURVE[-1] * YEAR / 1e6:.0f} against {CURVE[0] * YEAR / 1e6:.1f} million points"
    return [Figure("a week in a large history", ratio, 2, "x", meaning)]


def _fill(store: SqliteStore, n: int) -> None:
    """Give the first n series a year of points each, by one statement a series: it is faster."""
    with store._file.writing() as db:  # noqa: SLF001 - the store itself would take minutes
        for i, key in enumerate(_keys("oi", n)):
            known = db.execute("SELECT 1 FROM series WHERE key = ?", (key.text,)).fetchone()
            if known is None:
                db.execute("INSERT INTO series VALUES (?, ?, ?)", (i + 1, key.text, STEP))
                db.execute(
                    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                    " INSERT INTO point SELECT ?, ? - 10 * i, 1e6 + random() / 1e13, NULL FROM n"
                    " ORDER BY i DESC",
                    (YEAR - 1, i + 1, slot_of(NOW)),
                )
