"""/readyz: whether the server can answer, and how its parts are; looking starts nothing."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from rests import BASE, served
from servers import RedisProcess
from worlds import ask, world

from mmflow_mcp.access import ring
from mmflow_mcp.access.keys import Key
from mmflow_mcp.access.sqlite_keys import SqliteKeys
from mmflow_mcp.app import App
from mmflow_mcp.checks import Check
from mmflow_mcp.errors import StoreAway
from mmflow_mcp.surfaces.http import build_app

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def looking(app: App, stopping: anyio.Event | None = None) -> Any:
    """A started application; asks /readyz for its status and body."""
    asgi: Any = build_app(app, "127.0.0.1", stopping or anyio.Event())
    # The lifespan as a server runs it.
    asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asked.put_nowait({"type": "lifespan.startup"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asgi, {"type": "lifespan", "asgi": {}, "state": {}}, asked.get, told.put)
        assert "lifespan.startup.complete" == (await told.get())["type"]
        transport = httpx2.ASGITransport(app=asgi)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:

            async def look() -> tuple[int, dict[str, Any]]:
                answer = await client.get("/readyz")
                assert "no-store" == answer.headers["cache-control"]
                return answer.status_code, answer.json()

            yield look
        asked.put_nowait({"type": "lifespan.shutdown"})


async def test_a_server_that_nobody_has_asked_is_ready_and_stays_idle() -> None:
    """All parts are off, and looking at them has built none."""
    async with world() as app, looking(app) as look:
        status, said = await look()
        assert app.built is None
    assert (200, "ready", "sim") == (status, said["status"], said["source"])
    assert {"off"} == {check["status"] for check in said["checks"].values()}
    assert {"fleet", "history", "recorder", "tape", "venues"} == set(said["checks"])


async def test_parts_in_use_are_told() -> None:
    """Venues by their health, the store, the feeds with their silence."""
    async with world("okx:http=451", "bybit:http=500") as app, looking(app) as look:
        await ask(app, "get_funding", coins=["BTC"], venues="hyperliquid,okx,bybit")
        assert await app.core().tape.settle("hyperliquid", ["BTC"], 10) is None
        status, said = await look()
        checks = said["checks"]
        assert (200, "ready") == (status, said["status"])
        venues = {"status": "ok", "up": 1, "slow": 0, "blocked": 1, "failing": 1}
        assert venues == checks["venues"]
        assert {"status": "ok"} == checks["history"]
        feed = checks["tape"]["feeds"]["hyperliquid.trades"]
        assert (True, True) == (feed["connected"], feed["silentSeconds"] < 60)
        app.core().tape.feeds()[0].state.connected = False
        app.core().tape.feeds()[0].state.reason = "refused: no connection"
        status, said = await look()
        assert (200, "degraded") == (status, said["status"])
        assert "hyperliquid.trades: refused: no connection" == said["checks"]["tape"]["reason"]


async def test_without_one_venue_it_is_degraded() -> None:
    """When none of those that were asked answers."""
    async with world("okx:http=451") as app, looking(app) as look:
        with pytest.raises(Exception, match="geo"):
            await ask(app, "get_funding", coins=["BTC"], venues="okx")
        status, said = await look()
    assert (200, "degraded") == (status, said["status"])
    assert "no venue answers" == said["checks"]["venues"]["reason"]


async def test_a_store_that_is_away_degrades_and_names_no_place(tmp_path: Path) -> None:
    """It cannot be read, or not be written; the recorder's failures too. No path is told."""
    place = f"sqlite:{tmp_path}/secret-folder.sqlite"
    async with world(store=place, now="", record="light") as app, looking(app) as look:
        recorder = app.record("light")
        store: Any = app.core().archive.store
        assert recorder is not None
        with anyio.fail_after(20):
            while not recorder.health.leading:  # noqa: ASYNC110 - a state, no event
                await anyio.sleep(0.02)
        recorder.health.failures["perps"] = f"{store.name} is odd"
        store.away = f"{store.name} is full"
        status, said = await look()
        assert (200, "degraded") == (status, said["status"])
        assert "samples wait in memory: the store is full" == said["checks"]["history"]["reason"]
        assert "perps: the store is odd" == said["checks"]["recorder"]["reason"]
        told = [said["checks"]["recorder"][name] for name in ("level", "leading")]
        assert ["light", True] == told

        async def read(*_: Any) -> list[Any]:
            raise StoreAway(f"{store.name} cannot be opened")

        store.away, store._behind.read = "", read
        status, said = await look()
        assert "the store cannot be opened" == said["checks"]["history"]["reason"]


async def test_a_file_that_cannot_be_made_is_told_without_its_place(tmp_path: Path) -> None:
    """In the words of the store itself; of an answer too. No path is told, spaces or none."""
    (tmp_path / "a file").touch()
    place = f"sqlite:{tmp_path}/a file/secret folder/history.sqlite"
    question = {"coin": "BTC", "metric": "flowPressureScore"}
    async with world(store=place, now="", record="off") as app, looking(app) as look:
        told = await ask(app, "get_flow_history", **question)
        status, said = await look()
    assert (200, "degraded") == (status, said["status"])
    reason = said["checks"]["history"]["reason"]
    assert reason.startswith("the store ")
    assert [f"store: the history {reason[4:]}"] == [n["reason"] for n in told.meta["sources"]]
    for part in (str(tmp_path), "a file", "secret folder"):
        assert part not in f"{reason} {told.meta}"


async def test_a_redis_that_goes_away_degrades_and_heals(redis_server: RedisProcess) -> None:
    """Bounded in time, and the address is not told."""
    async with world(store=redis_server.url, record="off") as app, looking(app) as look:
        with anyio.fail_after(30):
            # The first look loads the library, which may take longer than a look has.
            while (await look())[1]["status"] != "ready":  # noqa: ASYNC110 - it is asked each time
                await anyio.sleep(0.05)
        redis_server.stop()
        with anyio.fail_after(30):
            status, said = await look()
        redis_server.start()
        assert (200, "degraded") == (status, said["status"])
        assert str(redis_server.port) not in str(said)
        with anyio.fail_after(20):
            while (await look())[1]["status"] != "ready":  # noqa: ASYNC110 - it is asked each time
                await anyio.sleep(0.05)


async def test_required_keys_that_cannot_be_read_are_not_ready(tmp_path: Path) -> None:
    """Fail closed: nobody could be answered. Once they can be read it is ready."""
    place = tmp_path / "keys.sqlite"
    place.write_bytes(b"damaged" * 2000)
    async with (
        world(require_key=True, data=str(tmp_path)) as app,
        looking(app) as look,
    ):
        status, said = await look()
        assert (503, "failed") == (status, said["status"])
        assert "failed" == said["checks"]["keys"]["status"]
        assert str(tmp_path) not in str(said)
        place.unlink()
        with anyio.fail_after(20):
            while (await look())[0] != 200:  # noqa: ASYNC110 - it is asked each time
                await anyio.sleep(0.05)


async def test_keys_whose_copy_still_serves_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions are answered with it; when it has become too old, nobody is."""
    reads = 0

    async def keys(_: SqliteKeys) -> list[Key]:
        nonlocal reads
        reads += 1
        if reads > 1:
            await anyio.sleep_forever()
        return []

    monkeypatch.setattr(SqliteKeys, "keys", keys)
    monkeypatch.setattr(ring, "REFRESH_SECONDS", 0.0)
    async with (
        world(require_key=True, data=str(tmp_path)) as app,
        looking(app) as look,
    ):
        assert 200 == (await look())[0]
        with anyio.fail_after(30):
            while reads < 2:
                status, said = await look()
                assert (200, {"status": "ok"}) == (status, said["checks"]["keys"])
                await anyio.sleep(0.01)
        monkeypatch.setattr(ring, "TRUSTED_SECONDS", 0.0)
        status, said = await look()
        assert (503, "failed") == (status, said["checks"]["keys"]["status"])


async def test_starting_and_stopping_are_503() -> None:
    """Before the application has started, and from the moment it is told to stop."""
    async with served() as client:
        answer = await client.get("/readyz")
        assert (503, "starting") == (answer.status_code, answer.json()["status"])
    stopping = anyio.Event()
    async with world() as app, looking(app, stopping) as look:
        assert 200 == (await look())[0]
        stopping.set()
        assert (503, "stopping") == ((found := await look())[0], found[1]["status"])


async def test_other_parts_add_their_checks() -> None:
    """By name; one that is slow, fails or has a fault of its own says so and holds nothing up."""

    async def fine() -> Check:
        return Check("ok", facts={"replicas": 3})

    running = Counter[str]()

    async def slow() -> Check:
        running["now"] += 1
        running["most"] = max(running["most"], running["now"])
        try:
            await anyio.sleep(600)
        finally:
            running["now"] -= 1
        return Check()

    async def away() -> Check:
        raise StoreAway("Redis cannot be reached")

    async def odd() -> Check:
        raise LookupError("secret")

    async with world() as app, looking(app) as look:
        app.checks.update(fleet=fine)
        assert (200, "ready") == ((found := await look())[0], found[1]["status"])
        app.checks.update(slow=slow, sloth=slow, away=away, odd=odd)
        with anyio.fail_after(60):
            status, said = await look()
    checks = said["checks"]
    assert (200, "degraded") == (status, said["status"])
    assert {"status": "ok", "replicas": 3} == checks["fleet"]
    assert "no answer within 0.8 s" == checks["slow"]["reason"] == checks["sloth"]["reason"]
    assert "Redis cannot be reached" == checks["away"]["reason"]
    assert "a fault of its own (LookupError)" == checks["odd"]["reason"]
    assert {"now": 0, "most": 2} == running


async def test_it_is_free_of_keys_and_quotas(tmp_path: Path) -> None:
    """As /healthz is."""
    async with served(require_key=True, data=str(tmp_path), anon_per_minute=1) as client:
        for path in ("/healthz", "/readyz") * 3:
            answer = await client.get(path)
            assert answer.status_code in (200, 503)
            assert "x-ratelimit-limit" not in answer.headers
        assert 401 == (await client.get("/api/v1/markets")).status_code
