"""The Redis history: what lies in the server, kinds apart, the server away, full and restarted."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from servers import NO_SERVER, RedisProcess, redis_process, silent_server
from stores import FUNDING, NOW, OI, PRESSURE, STEP, Place, batch, sampled

from mmflow_mcp.clock import DAY_MS, FixedClock
from mmflow_mcp.errors import BadQuestion, StoreAway, StoreUnwritable
from mmflow_mcp.fleet.redis import RedisServer, place_of
from mmflow_mcp.series.redis import RedisStore
from mmflow_mcp.series.store import WEEK_MS, Point, Written

pytestmark = pytest.mark.anyio

PERIOD = {"periodHours": 8}


@pytest.fixture
async def place(redis_server: RedisProcess, tmp_path: Path) -> AsyncIterator[Place]:
    """A corner of the server that all tests share."""
    made = Place("redis", tmp_path, redis_server)
    yield made
    await made.close()


@pytest.fixture
def own_server() -> Any:
    """A server of this test alone, to be stopped."""
    with redis_process() as process:
        if process is None:
            pytest.skip(NO_SERVER)
        yield process


def store_at(server: RedisProcess, kind: str = "live") -> RedisStore:
    """A store in a server."""
    return RedisStore(RedisServer(server.url), kind=kind, clock=FixedClock(NOW))


async def keys_of(store: RedisStore) -> dict[str, int]:
    """The keys of a store's kind, and in how many milliseconds they expire (-1: never)."""
    client = store._server.client
    return {
        name.decode(): await client.pttl(name) for name in await client.keys(f"{store._under}*")
    }


async def test_a_server_that_does_not_answer_is_waited_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only a connection that broke is tried anew."""
    monkeypatch.setattr("mmflow_mcp.fleet.redis.ANSWER_SECONDS", 0.1)
    async with silent_server() as (port, met):
        server = RedisServer(f"redis://127.0.0.1:{port}")
        store = RedisStore(server, kind="live", clock=FixedClock(NOW))
        with pytest.raises(StoreAway, match="does not answer in time"):
            await store.read(OI)
    assert 1 == len(met)
    await store.close()


async def test_kinds_keep_apart_in_one_server(redis_server: RedisProcess) -> None:
    """Simulated points are other keys than live ones."""
    live, sim = store_at(redis_server, "apart-live"), store_at(redis_server, "apart-sim")
    await live.write([batch(sampled([1.0]))])
    await sim.write([batch(sampled([2.0]))])
    assert [[1.0], [2.0]] == [[p.v for p in await store.read(OI)] for store in (live, sim)]
    assert all(name.startswith("mmflow:apart-sim:") for name in await keys_of(sim))
    await live.close()
    await sim.close()


async def test_days_expire_a_retention_after_they_end(place: Place) -> None:
    """Points, their extras and the list of days leave by themselves; no key lives for ever."""
    store = place.open()
    assert isinstance(store, RedisStore)
    await store.write([batch([Point(NOW, 1.0, PERIOD)], FUNDING)])
    name, day = FUNDING.text, NOW // DAY_MS
    expiry = await keys_of(store)
    left = (day + 1) * DAY_MS + WEEK_MS - NOW
    for part in ("points", "extras"):
        assert left - 60_000 < expiry.pop(f"{store._under}{part}:{name}:{day}") <= left
    assert left < expiry.pop(f"{store._under}days:{name}") <= WEEK_MS + 2 * DAY_MS
    assert {f"{store._under}series": -1, f"{store._under}newest": -1} == expiry


async def test_a_deleted_series_leaves_no_key(place: Place) -> None:
    """Nor does one that was pruned away."""
    store = place.open()
    assert isinstance(store, RedisStore)
    await store.write([batch([Point(NOW, 1.0, PERIOD)], FUNDING), batch(sampled([1.0, 2.0]))])
    await store.delete(FUNDING)
    await store.prune(NOW + 2 * WEEK_MS)
    assert {} == await keys_of(store)


async def test_a_point_takes_little_memory(place: Place) -> None:
    """A day of ten-minute points is one compact hash: about 22 bytes a point."""
    store = place.open()
    assert isinstance(store, RedisStore)
    midnight = NOW // DAY_MS * DAY_MS
    points = [Point(midnight - i * STEP, 1.0 / (i + 3), PERIOD) for i in range(1, 145)]
    await store.write([batch(points, FUNDING)], backfill=True)
    name = f"{store._under}points:{FUNDING.text}:{midnight // DAY_MS - 1}"
    client = store._server.client
    assert 144 == await client.hlen(name)
    assert await client.memory_usage(name) / 144 <= 40


async def test_a_point_whose_extra_is_gone_is_left_out(place: Place) -> None:
    """A server that evicts may lose it; a rate without its period would look like another rate."""
    store = place.open()
    assert isinstance(store, RedisStore)
    await store.write([batch([Point(NOW - STEP, 1.0), Point(NOW, 2.0, PERIOD)], FUNDING)])
    await store._server.client.delete(f"{store._under}extras:{FUNDING.text}:{NOW // DAY_MS}")
    assert [Point(NOW - STEP, 1.0)] == await store.read(FUNDING)


async def test_extras_are_kept_with_their_own_day(place: Place) -> None:
    """Each day has those that its points use, and no others."""
    store = place.open()
    assert isinstance(store, RedisStore)
    points = [Point(NOW - d * DAY_MS, float(d), {"day": d}) for d in (2, 1, 0)]
    await store.write([batch(points, PRESSURE)])
    client = store._server.client
    for d in (2, 1, 0):
        name = f"{store._under}extras:{PRESSURE.text}:{NOW // DAY_MS - d}"
        assert [b'{"day":%d}' % d] == list((await client.hgetall(name)).values())
    assert points == await store.read(PRESSURE)


async def test_a_server_that_went_is_away_and_one_that_came_back_is_used(
    own_server: RedisProcess,
) -> None:
    """Every call says so in one sentence, and the next one after the return works."""
    store = store_at(own_server)
    assert Written(2) == await store.write([batch(sampled([1.0, 2.0]))])
    own_server.stop()
    name = f"redis://127.0.0.1:{own_server.port}/0 cannot be reached"
    for call in (store.read(OI), store.write([batch(sampled([3.0]))]), store.series()):
        with pytest.raises(StoreAway, match=name):
            await call
    own_server.start()
    assert [] == await store.read(OI)
    assert Written(1) == await store.write([batch(sampled([3.0]))])
    assert sampled([3.0]) == await store.read(OI)
    await store.close()


async def test_a_full_server_can_be_read(own_server: RedisProcess) -> None:
    """It takes no more until something was deleted; what it has, it answers."""
    store = store_at(own_server)
    await store.write([batch(sampled([1.0]))])
    client = store._server.client
    await client.config_set("maxmemory", "1mb")
    with pytest.raises(StoreUnwritable, match=r"takes no more|did not do it"):
        await store.write([batch(sampled([2.0]))])
    assert sampled([1.0]) == await store.read(OI)
    await client.config_set("maxmemory", "0")
    assert Written(1) == await store.write([batch(sampled([2.0]))])
    await store.close()


async def test_a_server_that_wants_a_password_is_away(own_server: RedisProcess) -> None:
    """The sentence asks for it and does not repeat the one that was given."""
    open_store = store_at(own_server)
    await open_store._server.client.config_set("requirepass", "right")
    url = own_server.url.replace("redis://", "redis://:wrong-password@")
    store = RedisStore(RedisServer(url), kind="live", clock=FixedClock(NOW))
    with pytest.raises(StoreAway, match="is the password right") as told:
        await store.read(OI)
    assert "wrong-password" not in str(told.value)
    assert "wrong-password" not in store.name
    await open_store.close()
    await store.close()


async def test_a_server_that_does_not_answer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that nobody speaks on does not hold a question for ever."""
    monkeypatch.setattr("mmflow_mcp.fleet.redis.ANSWER_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = RedisServer(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        store = RedisStore(server, kind="live", clock=FixedClock(NOW))
        with pytest.raises(StoreAway, match="does not answer in time"):
            await store.read(OI)
        await store.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("redis://user:secret@db.test:7000/2", "redis://db.test:7000/2"),
        ("rediss://:secret@db.test", "rediss://db.test:6379/0"),
    ],
)
def test_an_address_is_named_without_its_password(url: str, expected: str) -> None:
    """Where it is, not how to get in."""
    assert expected == place_of(url)


@pytest.mark.parametrize(
    "url", ["redis://", "redis://:p4ss@", "redis://h:p4ss", "redis://h/p4ss", "http://p4ss@h"]
)
def test_an_address_that_is_none_is_a_bad_question(url: str) -> None:
    """Which says what fits, and does not repeat what may hold a password."""
    with pytest.raises(BadQuestion, match=r"Fits: redis://\[USER") as told:
        RedisServer(url)
    assert "p4ss" not in str(told.value)


def test_without_the_library_a_server_is_a_bad_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install."""
    monkeypatch.setattr("mmflow_mcp.fleet.redis.find_spec", lambda _: None)
    with pytest.raises(BadQuestion, match=r"mmflow-mcp\[redis\]"):
        RedisServer("redis://localhost")
