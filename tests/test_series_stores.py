"""One contract, three keepers: every test runs on memory, on SQLite and on a real Redis server."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from stores import FUNDING, NOW, OI, PRESSURE, SETTLED, STEP, Place, batch, sampled

from mmflow_mcp.clock import DAY_MS, HOUR_MS, FixedClock
from mmflow_mcp.series.store import MINUTE_MS, WEEK_MS, Batch, Point, SeriesKey, Written

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty place of each sort."""
    server = request.getfixturevalue("redis_server") if request.param == "redis" else None
    made = Place(request.param, tmp_path, server)
    yield made
    await made.close()


async def test_what_was_written_is_read(place: Place) -> None:
    """Ascending, on the grid, to the last digit, whatever the order it came in."""
    store = place.open()
    points = sampled([0.1 + 0.2, 1e300, -5e-324, 0.0, 123_456_789.123_456_78])
    assert Written(5) == await store.write([batch(points[::-1])])
    assert points == await store.read(OI)


async def test_a_series_that_is_not_there_is_empty(place: Place) -> None:
    """No error: nothing was ever written."""
    store = place.open()
    assert [[], [], 0] == [await store.read(OI), await store.series(), await store.delete(OI)]


async def test_both_ends_of_a_stretch_are_included(place: Place) -> None:
    """A stretch that is empty, or lies in the future, has no points."""
    store = place.open()
    points = sampled([1.0, 2.0, 3.0, 4.0])
    await store.write([batch(points)])
    since, until = points[1].t, points[2].t
    assert points[1:3] == await store.read(OI, since, until)
    assert points[2:3] == await store.read(OI, since + 1, until)
    assert points[1:2] == await store.read(OI, since, until - 1)
    assert [] == await store.read(OI, until, since)
    assert [] == await store.read(OI, NOW + 1)


async def test_a_cell_holds_the_last_value_and_its_extra(place: Place) -> None:
    """Writing again is harmless, and a value without an extra leaves none of the old one."""
    store = place.open()
    await store.write([batch([Point(NOW, 1.0, {"periodHours": 8})], FUNDING)])
    await store.write([batch([Point(NOW + 5, 2.0, {"periodHours": 4})], FUNDING)])
    assert [Point(NOW, 2.0, {"periodHours": 4})] == await store.read(FUNDING)
    await store.write([batch([Point(NOW, 3.0)], FUNDING)])
    assert [Point(NOW, 3.0)] == await store.read(FUNDING)


async def test_an_unknown_value_leaves_what_the_cell_holds(place: Place) -> None:
    """Null is absence: it neither makes a point nor removes one."""
    store = place.open()
    await store.write([batch(sampled([1.0, None, 3.0]))])
    await store.write([batch([Point(NOW, None)])])
    assert [Point(NOW - 2 * STEP, 1.0), Point(NOW, 3.0)] == await store.read(OI)


async def test_extras_come_back_as_they_were(place: Place) -> None:
    """Flow points keep partial, stale, source, sources and coverage; true is not 1."""
    store = place.open()
    points = [
        Point(
            NOW - (60 - i) * MINUTE_MS,
            float(i),
            {
                "partial": i % 2 == 0,
                "stale": False,
                "source": f"coinbase+binance ({i % 7})",
                "sources": ["coinbase", "₿inance"],
                "coverage": {"globalSpot": "full", "venues": i % 5},
                "one": 1,
                "none": None,
            },
        )
        for i in range(60)
    ]
    await store.write([batch(points, PRESSURE, MINUTE_MS)])
    found = await store.read(PRESSURE)
    assert points == found
    assert [repr(p.extra) for p in _sorted(points)] == [repr(p.extra) for p in _sorted(found)]


def _sorted(points: list[Point]) -> list[Point]:
    """The points with the members of their extras in one order."""
    return [p._replace(extra=dict(sorted((p.extra or {}).items()))) for p in points]


async def test_a_writer_that_changes_its_extra_later_changes_nothing(place: Place) -> None:
    """What was stored is a copy."""
    store = place.open()
    extra = {"periodHours": 8}
    await store.write([batch([Point(NOW, 1.0, extra)], FUNDING)])
    extra["periodHours"] = 1
    assert [Point(NOW, 1.0, {"periodHours": 8})] == await store.read(FUNDING)


async def test_series_keep_apart(place: Place) -> None:
    """Predicted and settled rates of one symbol are two series; so are two coins."""
    store = place.open()
    keys = [
        FUNDING,
        SeriesKey("funding", "binance", "ETH", "settled"),
        SeriesKey("funding", "binance", "ETHW", "predicted"),
        SeriesKey("funding", "bybit", "ETH", "predicted"),
        SeriesKey("oi", "binance", "ETH", "predicted"),
    ]
    await store.write([batch([Point(NOW, float(i))], key) for i, key in enumerate(keys)])
    assert [[float(i)] for i in range(5)] == [[p.v for p in await store.read(k)] for k in keys]


async def test_a_sampler_does_not_step_back(place: Place) -> None:
    """After the clock stepped back the newest cell may be written again, no older one."""
    store = place.open()
    await store.write([batch(sampled([1.0, 2.0]))])
    place.clock.advance(-600)
    assert Written(0, refused=1) == await store.write([batch([Point(NOW - STEP, 9.0)])])
    assert Written(1) == await store.write([batch([Point(NOW, 3.0)])])
    assert sampled([1.0, 3.0]) == await store.read(OI)


async def test_of_two_batches_of_one_series_the_second_does_not_step_back_either(
    place: Place,
) -> None:
    """What a batch stored counts for the next one of the same call."""
    store = place.open()
    both = [batch([Point(NOW, 2.0)]), batch([Point(NOW - STEP, 1.0)])]
    assert Written(1, refused=1) == await store.write(both)
    assert sampled([2.0]) == await store.read(OI)


async def test_a_back_fill_writes_older_cells(place: Place) -> None:
    """And a sampler goes on from the newest one."""
    store = place.open()
    await store.write([batch(sampled([5.0]))])
    assert Written(2) == await store.write(
        [batch(sampled([3.0, 4.0], until=NOW - STEP))], backfill=True
    )
    assert Written(0, refused=1) == await store.write([batch([Point(NOW - STEP, 9.0)])])
    assert sampled([3.0, 4.0, 5.0]) == await store.read(OI)


async def test_payments_keep_their_times(place: Place) -> None:
    """Every 8 hours from 04:00, then every 4: the cadence is the last writer's, all points stay."""
    store = place.open()
    midnight = NOW // DAY_MS * DAY_MS
    before = [Point(midnight - h * HOUR_MS, 1e-4, {"periodHours": 8}) for h in (20, 12, 4)]
    after = [Point(midnight, 2e-4, {"periodHours": 4})]
    await store.write([Batch(SETTLED, 8 * HOUR_MS, before)], backfill=True)
    await store.write([Batch(SETTLED, 4 * HOUR_MS, after)], backfill=True)
    assert before + after == await store.read(SETTLED)
    assert [4 * HOUR_MS] == [held.cadence_ms for held in await store.series()]


async def test_the_retention_rolls(place: Place) -> None:
    """A week after a point it is still there, a minute later it is not, read or written."""
    store = place.open()
    await store.write([batch(sampled([1.0, 2.0]))])
    place.clock.advance(WEEK_MS / 1000)
    assert sampled([2.0]) == await store.read(OI)
    place.clock.advance(60)
    assert [] == await store.read(OI)
    later = NOW + WEEK_MS + STEP
    place.clock.advance(540)
    assert Written(1, expired=1) == await store.write([batch([Point(NOW, 9.0), Point(later, 3.0)])])
    assert [(later, later, 1)] == [(s.first, s.last, s.count) for s in await store.series()]


async def test_the_retention_may_be_years(place: Place) -> None:
    """A point of three years ago is read among those of today."""
    store = place.open(retention_ms=4 * 365 * DAY_MS)
    old = NOW - 3 * 365 * DAY_MS
    await store.write([batch([Point(old, 1.0), Point(NOW, 2.0)])], backfill=True)
    assert [old, NOW] == [p.t for p in await store.read(OI)]


async def test_pruning_removes_what_is_past_and_series_that_are_empty(place: Place) -> None:
    """Of every series, not only of those that are written to."""
    store = place.open()
    await store.write(
        [batch(sampled([1.0, 2.0])), batch(sampled([1.0], until=NOW - STEP), FUNDING)]
    )
    assert 0 == await store.prune(NOW + WEEK_MS - STEP)
    assert 2 == await store.prune(NOW + WEEK_MS)
    assert [(OI, 1)] == [(held.key, held.count) for held in await store.series()]
    # The series that went may come again, older than it was.
    assert Written(1) == await store.write([batch([Point(NOW - 2 * STEP, 7.0)], FUNDING)])


async def test_deleting_takes_a_stretch_or_all(place: Place) -> None:
    """What was deleted may be written again by a sampler: nothing newer is there."""
    store = place.open()
    points = sampled([1.0, 2.0, 3.0, 4.0])
    await store.write([batch(points), batch(points, FUNDING)])
    assert 2 == await store.delete(OI, points[1].t, points[2].t)
    assert [points[0], points[3]] == await store.read(OI)
    assert 1 == await store.delete(OI, NOW)
    assert Written(1) == await store.write([batch([points[2]])])
    assert 2 == await store.delete(OI)
    assert [(FUNDING, 4)] == [(held.key, held.count) for held in await store.series()]


async def test_the_store_says_what_it_holds(place: Place) -> None:
    """Key, cadence, first, last and count, ordered by key, and a size that is no nonsense."""
    store = place.open()
    day = sampled([float(i) for i in range(300)])
    minutes = sampled([1.0] * 5, step=MINUTE_MS)
    await store.write([batch(day), batch(minutes, PRESSURE, MINUTE_MS)])
    held = await store.series()
    assert [PRESSURE, OI] == [s.key for s in held]
    assert [MINUTE_MS, STEP] == [s.cadence_ms for s in held]
    assert [minutes[0].t, day[0].t] == [s.first for s in held]
    assert [NOW, NOW] == [s.last for s in held]
    assert [5, 300] == [s.count for s in held]
    assert all(10 * s.count <= s.size <= 400 * s.count for s in held)


async def test_several_writers_do_no_harm(place: Place) -> None:
    """Four stores at one place write the same cells at once: one point for each, no error."""
    stores = [place.open()] * 4 if place.sort == "memory" else [place.open() for _ in range(4)]
    points = sampled([float(i) for i in range(200)])
    keys = [SeriesKey("oi", "hl", f"C{i}", "sampled") for i in range(5)]
    async with anyio.create_task_group() as tasks:
        for store in stores:
            tasks.start_soon(store.write, [batch(points, key) for key in keys])
    for key in keys:
        assert points == await stores[0].read(key)
    assert [200] * 5 == [held.count for held in await stores[1].series()]


async def test_readers_see_whole_points_while_others_write(place: Place) -> None:
    """A read during a write has a prefix or a part of what is written, every point of it true."""
    store = place.open()
    truth = {p.t: p for p in sampled([float(i) for i in range(900)])}
    seen: list[int] = []

    async def read() -> None:
        while len(seen) < 20:
            found = await store.read(OI)
            assert all(truth[p.t] == p for p in found)
            seen.append(len(found))
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        points = list(truth.values())
        for i in range(0, 900, 100):
            await store.write([batch(points[i : i + 100])])
    assert 900 == len(await store.read(OI))


async def test_a_second_process_finds_what_the_first_wrote(place: Place) -> None:
    """Another store at the same place, with a clock of its own."""
    if place.sort == "memory":
        pytest.skip("memory is not shared")
    points = [Point(NOW, 1.5, {"periodHours": 8})]
    await place.open().write([batch(points, FUNDING)])
    assert points == await place.open(clock=FixedClock(NOW + STEP)).read(FUNDING)


async def test_many_series_in_one_write(place: Place) -> None:
    """A round of samples: each series its point, and the count of all of them."""
    store = place.open()
    keys = [SeriesKey("oi", f"venue{i % 9}", f"C{i}", "sampled") for i in range(450)]
    assert Written(450) == await store.write(
        [batch([Point(NOW, float(i))], key) for i, key in enumerate(keys)]
    )
    assert 450 == len(await store.series())
    assert [Point(NOW, 449.0)] == await store.read(keys[-1])


async def test_nothing_to_write_is_nothing(place: Place) -> None:
    """No batch, a batch without points, a batch of unknown values: no series appears."""
    store = place.open()
    for batches in ([], [batch([])], [batch([Point(NOW, None)])]):
        assert Written() == await store.write(batches)
    assert [] == await store.series()
