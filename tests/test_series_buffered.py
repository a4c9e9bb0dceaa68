"""Samples wait in memory while their store is away, and what was too much is told as a gap."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from servers import NO_SERVER, redis_process
from stores import FUNDING, NOW, OI, STEP, batch, sampled

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import StoreAway, StoreError, StoreMismatch, StoreUnwritable
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.series.buffered import BufferedStore
from mmflow_mcp.series.memory import MemoryStore
from mmflow_mcp.series.redis import RedisStore
from mmflow_mcp.series.sqlite import SqliteStore
from mmflow_mcp.series.store import FOREVER, Batch, Point, SeriesKey, Written

pytestmark = pytest.mark.anyio


class Fragile(MemoryStore):
    """A store that can be made to fail: `away` for both, `full` for writes only."""

    name = "fragile"

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock=clock)
        self.failure: StoreError | None = None

    async def write(self, batches: Sequence[Batch], *, backfill: bool = False) -> Written:
        """Fail, or write."""
        if self.failure:
            raise self.failure
        return await super().write(batches, backfill=backfill)

    async def read(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> list[Point]:
        """Fail, or read."""
        if isinstance(self.failure, StoreAway):
            raise self.failure
        return await super().read(key, since_ms, until_ms)


class World:
    """A buffer in front of a fragile store, and what it told."""

    def __init__(self, points_kept: int = 1000) -> None:
        self.clock = FixedClock(NOW)
        self.told: list[str] = []
        self.behind = Fragile(self.clock)
        self.store = BufferedStore(
            self.behind, clock=self.clock, points_kept=points_kept, report=self.told.append
        )

    async def sample(self, v: float) -> Written:
        """One point of now, and ten minutes pass."""
        written = await self.store.write([batch([Point(self.clock.now_ms(), v)])])
        self.clock.advance(STEP / 1000)
        return written


async def test_a_store_that_works_is_written_at_once() -> None:
    """Nothing waits, nothing is told."""
    world = World()
    assert Written(1) == await world.sample(1.0)
    assert sampled([1.0]) == await world.behind.read(OI)
    assert [] == world.told


async def test_samples_wait_and_are_written_when_the_store_is_back() -> None:
    """None is missing, each in its own cell; going and coming are told once."""
    world = World()
    await world.sample(1.0)
    world.behind.failure = StoreAway("fragile cannot be reached")
    assert [Written(waiting=1)] * 3 == [await world.sample(v) for v in (2.0, 3.0, 4.0)]
    world.behind.failure = None
    assert Written(1) == await world.sample(5.0)
    assert sampled([1.0, 2.0, 3.0, 4.0, 5.0], until=NOW + 4 * STEP) == await world.store.read(OI)
    assert [
        "samples wait in memory: fragile cannot be reached",
        "fragile is back: 3 waiting samples were written",
    ] == world.told


async def test_beyond_the_bound_the_oldest_are_given_up_and_the_gap_is_told() -> None:
    """Of all series together; the report names how many and from when to when."""
    world = World(points_kept=4)
    world.behind.failure = StoreAway("away")
    for i in range(5):
        now = world.clock.now_ms()
        point = [Point(now, float(i))]
        await world.store.write([batch(point), batch(point, FUNDING)])
        world.clock.advance(STEP / 1000)
    world.behind.failure = None
    await world.sample(9.0)
    assert sampled([3.0, 4.0, 9.0], until=NOW + 5 * STEP) == await world.store.read(OI)
    assert sampled([3.0, 4.0], until=NOW + 4 * STEP) == await world.store.read(FUNDING)
    assert (
        "fragile is back: 4 waiting samples were written,"
        " 6 from 2026-09-15T01:00+00:00 to 2026-09-15T01:20+00:00 were too many to keep: a gap"
    ) == world.told[-1]


async def test_a_store_that_is_full_is_read_with_what_waits_on_top() -> None:
    """A waiting sample is the newest value of its cell; the stretch asked for is respected."""
    world = World()
    await world.store.write([batch(sampled([1.0, 2.0]))])
    world.behind.failure = StoreUnwritable("the disk is full")
    await world.sample(3.0)
    await world.sample(4.0)
    assert sampled([1.0, 3.0, 4.0], until=NOW + STEP) == await world.store.read(OI)
    assert [Point(NOW, 3.0)] == await world.store.read(OI, NOW, NOW)


async def test_reads_of_a_store_that_is_away_fail() -> None:
    """What waits is not passed off as the history."""
    world = World()
    world.behind.failure = StoreAway("fragile cannot be reached")
    await world.sample(1.0)
    with pytest.raises(StoreAway, match="cannot be reached"):
        await world.store.read(OI)


async def test_a_back_fill_does_not_wait() -> None:
    """Who fills back is told, and asks the venue again another time."""
    world = World()
    world.behind.failure = StoreUnwritable("the disk is full")
    with pytest.raises(StoreUnwritable):
        await world.store.write([batch(sampled([1.0]))], backfill=True)
    assert [] == await world.store.read(OI)


async def test_a_store_of_another_kind_is_no_reason_to_wait() -> None:
    """It will not become ours by waiting."""
    world = World()
    world.behind.failure = StoreMismatch("it holds what came from live")
    with pytest.raises(StoreMismatch):
        await world.sample(1.0)
    assert [] == world.told


async def test_waiting_samples_do_not_step_back_either() -> None:
    """The clock stepped back while the store was away."""
    world = World()
    world.behind.failure = StoreAway("away")
    await world.sample(1.0)
    await world.sample(2.0)
    world.clock.advance(-1200)
    assert Written(refused=1) == await world.sample(9.0)
    world.behind.failure = None
    await world.sample(3.0)
    assert sampled([1.0, 3.0], until=NOW + STEP) == await world.store.read(OI)


async def test_what_waits_is_written_where_another_process_went_on() -> None:
    """A gap is filled even though newer cells are there already."""
    world = World()
    world.behind.failure = StoreAway("away")
    await world.sample(1.0)
    world.behind.failure = None
    await world.behind.write([batch([Point(NOW + STEP, 2.0)])])
    await world.sample(2.5)
    assert sampled([1.0, 2.5], until=NOW + STEP) == await world.store.read(OI)


async def test_deleting_takes_what_waits_too() -> None:
    """A deleted sample does not come back with the store."""
    world = World()
    world.behind.failure = StoreUnwritable("full")
    await world.sample(1.0)
    assert 1 == await world.store.delete(OI)
    world.behind.failure = None
    await world.sample(2.0)
    assert [2.0] == [p.v for p in await world.store.read(OI)]


async def test_closing_writes_what_waits_or_tells_what_is_lost() -> None:
    """The last chance is taken; without it nobody is left in the belief that all is well."""
    ends = ((None, "1 waiting samples were written"), (StoreAway("gone"), "1 samples are lost"))
    for failure, said in ends:
        world = World()
        world.behind.failure = StoreAway("gone")
        await world.sample(1.0)
        world.behind.failure = failure
        await world.store.close()
        assert said in world.told[-1]


async def test_a_disk_that_is_full_for_a_while_loses_no_sample(tmp_path: Path) -> None:
    """A real file that may not grow: reads go on, and with space again all samples are stored."""
    clock, told = FixedClock(NOW), list[str]()
    behind = SqliteStore(tmp_path / "h.sqlite", kind="live", clock=clock)
    store = BufferedStore(behind, clock=clock, report=told.append)
    keys = [SeriesKey("oi", "hl", f"C{i}", "sampled") for i in range(300)]
    await store.write([batch([Point(NOW, 0.0)], key) for key in keys])
    database = behind._file._open()
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count={pages}")
    clock.advance(STEP / 1000)
    second = [batch([Point(NOW + STEP, 1.0)], key) for key in keys]
    assert Written(waiting=300) == await store.write(second)
    assert sampled([0.0, 1.0], until=NOW + STEP) == await store.read(keys[7])
    assert [Point(NOW, 0.0)] == await behind.read(keys[7])
    behind._file._open().execute("PRAGMA max_page_count=1000000")
    clock.advance(STEP / 1000)
    third = [batch([Point(NOW + 2 * STEP, 2.0)], key) for key in keys]
    assert Written(300) == await store.write(third)
    assert sampled([0.0, 1.0, 2.0], until=NOW + 2 * STEP) == await behind.read(keys[7])
    assert ["samples wait in memory", "sqlite"] == [told[0][:22], told[1][:6]]
    await store.close()


async def test_a_minute_without_redis_loses_nothing() -> None:
    """A real server is stopped and started again on the same port: the samples are there."""
    with redis_process() as server:
        if server is None:
            pytest.skip(NO_SERVER)
        clock, told = FixedClock(NOW), list[str]()
        behind = RedisStore(RedisServer(server.url), kind="live", clock=clock)
        store = BufferedStore(behind, clock=clock, report=told.append)
        server.stop()
        for i in range(3):
            assert Written(waiting=1) == await store.write([batch([Point(clock.now_ms(), i)])])
            clock.advance(STEP / 1000)
        with pytest.raises(StoreAway):
            await store.read(OI)
        server.start()
        assert Written(1) == await store.write([batch([Point(clock.now_ms(), 3)])])
        assert sampled([0.0, 1.0, 2.0, 3.0], until=NOW + 3 * STEP) == await store.read(OI)
        assert 2 == len(told)
        await store.close()
