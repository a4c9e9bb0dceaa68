"""Whole replicas on one server: what they share, what they say when it is gone."""

import functools
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from cachefleets import PATIENCE, HourAhead, until
from rests import client_of
from servers import NO_SERVER, RedisProcess, redis_process

from mmflow_mcp.app import App, running
from mmflow_mcp.clock import Clock
from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.errors import StoreAway, VenueHttp
from mmflow_mcp.fleet.link import Link
from mmflow_mcp.series.store import SeriesKey
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces import questions
from mmflow_mcp.surfaces.fleets import fleet_facts
from mmflow_mcp.upstream.cache import CacheTransport

pytestmark = pytest.mark.anyio

Test = Callable[..., Awaitable[None]]

# A market for each test: none finds what another has read.
SEEDS = itertools.count(101)
# Seconds: what the questions here need is fresh for 5.
FRESH = 2.5
FUNDING = ("get_funding", {"coins": "BTC,ETH", "venues": "all"})
PATH = "/api/v1/perps/funding?coins=BTC,ETH&venues=all"


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing here measures how fast the server is; no replica has files of others."""
    monkeypatch.setattr("mmflow_mcp.fleet.link.PATIENCE_SECONDS", PATIENCE)
    monkeypatch.setattr("mmflow_mcp.fleet.link.RETRY_SECONDS", 0.1)
    monkeypatch.setenv("MMFLOW_DATA", str(tmp_path))


@pytest.fixture(scope="module")
def own_server() -> Iterator[RedisProcess]:
    """A server of these tests alone, to be stopped; each test has a seed of its own."""
    with redis_process() as process:
        if process is None:
            pytest.skip(NO_SERVER)
        yield process


class Tap(httpx2.AsyncBaseTransport):
    """Counts what is sent to venues; fails it when it is told to."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self.sent = 0
        self.down = False
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request."""
        self.sent += 1
        if self.down:
            raise VenueHttp(503)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()


class Counted:
    """A replica, and what it sends to venues."""

    def __init__(self, app: App) -> None:
        self.app = app
        budget = app.core().upstream._budget
        self.tap = Tap(budget._inner)
        budget._inner = self.tap

    @property
    def link(self) -> Link:
        """Its way to the others."""
        assert self.app.link is not None
        return self.app.link

    @property
    def sent(self) -> int:
        """How many requests it has sent."""
        return self.tap.sent

    async def shared(self) -> None:
        """Wait until all that it has read lies with the others."""
        await until(lambda: not self.link.holds)

    async def ask(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """An answer as REST would give it."""
        e = endpoints()[name]
        query = questions.validated(e, arguments)
        return questions.envelope(await questions.answered(self.app.core(), e, query))

    def forget(self) -> None:
        """Empty the memory of this replica."""
        cache = self.app.core().upstream._cache
        assert isinstance(cache, CacheTransport)
        cache._wires.clear()


@asynccontextmanager
async def replica(
    server: RedisProcess, seed: int, clock: Clock | None = None
) -> AsyncIterator[Counted]:
    """A replica over the simulated market of a seed."""
    settings = Settings(source="sim", seed=seed, store=server.url, record="off", anon_per_minute=0)
    async with running(settings, clock=clock) as app:
        made = Counted(app)
        await until(lambda: made.link.hears)
        yield made


def in_time(test: Test) -> Test:
    """Run a test again, with another market, while it takes longer than answers stay fresh.

    It speaks of answers that are fresh; a busy machine may be slower than that.
    """

    @functools.wraps(test)
    async def again(own_server: RedisProcess) -> None:
        for _ in range(5):
            began = time.monotonic()
            try:
                await test(own_server, next(SEEDS))
            except (AssertionError, ExceptionGroup):
                if time.monotonic() - began < FRESH:
                    raise
            else:
                return
        pytest.skip("the machine is slower than answers stay fresh")

    del again.__wrapped__
    return again


@in_time
async def test_replicas_answer_alike_and_ask_once(own_server: RedisProcess, seed: int) -> None:
    """What one has read the others have: the same answer to the last digit, and no request."""
    async with replica(own_server, seed) as first, replica(own_server, seed) as other:
        answer = await first.ask(*FUNDING)
        await first.shared()
        assert answer == await other.ask(*FUNDING)
        assert not answer["meta"]["partial"]
        assert (True, 0) == (first.sent > 5, other.sent)
        assert "fleet" not in answer["meta"]
        assert ("together", other.link.asks) == (other.link.state, other.link.hits)
        health = {venue.venue: venue.state for venue in other.app.core().upstream.health.all()}
        assert {"ok"} == set(health.values())


@in_time
async def test_a_fleet_at_once_sends_what_one_sends(own_server: RedisProcess, seed: int) -> None:
    """Three replicas asked at the same moment: as many requests as one, all answers alike."""
    async with replica(own_server, next(SEEDS)) as alone:
        await alone.ask(*FUNDING)
        await alone.ask("get_oi", {"coins": "BTC", "venues": "all"})
    async with (
        replica(own_server, seed) as a,
        replica(own_server, seed) as b,
        replica(own_server, seed) as c,
    ):
        answers: list[Any] = []

        async def ask(one: Counted, name: str, arguments: dict[str, Any]) -> None:
            answers.append((name, await one.ask(name, arguments)))

        async with anyio.create_task_group() as tasks:
            for one in (a, b, c):
                tasks.start_soon(ask, one, *FUNDING)
                tasks.start_soon(ask, one, "get_oi", {"coins": "BTC", "venues": "all"})
        assert alone.sent == a.sent + b.sent + c.sent
    for name in ("get_funding", "get_oi"):
        rows = [answer["data"] for asked, answer in answers if asked == name]
        assert [rows[0]] * 3 == rows


@in_time
async def test_a_replica_that_lost_the_others_says_so(own_server: RedisProcess, seed: int) -> None:
    """`meta.fleet` on every face, also on what was kept before; the numbers stay; it heals."""
    async with replica(own_server, seed) as one, client_of(one.app) as http:
        before = (await http.get(PATH)).json()
        own_server.stop()
        try:
            await until(lambda: not one.link.together)
            alone = (await http.get(PATH)).json()
            store = one.app.core().archive.store
            assert store is not None
            with pytest.raises(StoreAway, match=r"^the fleet's server cannot be reached$"):
                await store.read(SeriesKey("oi", "okx", "BTC", "sampled"))
            one.forget()
            asked_anew = (await http.get("/api/v1/perps/oi?coins=BTC&venues=bybit")).json()
            ready = (await http.get("/readyz")).json()
            pages = [(await http.get(path)).text for path in ("/status", "/metrics")]
        finally:
            own_server.start()
        await until(lambda: one.link.together)
        after = (await http.get(PATH)).json()
        # The tape finds the others again by itself.
        await until(lambda: (fleet_facts(one.app) or {})["state"] == "together")
    assert "degraded" == ready["checks"]["fleet"]["status"]
    assert "On its own: the fleet" in pages[0]
    assert "mmflow_fleet_together 0.0" in pages[1]
    assert str(own_server.port) not in json.dumps(ready["checks"]["fleet"]) + pages[0] + pages[1]
    said = "alone: the fleet's server cannot be reached"
    assert said == alone["meta"].pop("fleet")
    assert (before["data"], before["meta"]) == (alone["data"], alone["meta"])
    assert said == asked_anew["meta"]["fleet"]
    assert not asked_anew["meta"]["partial"]
    assert "fleet" not in after["meta"]


async def test_a_failure_of_all_venues_says_so_too(own_server: RedisProcess) -> None:
    """An error has a meta as well."""
    async with replica(own_server, next(SEEDS)) as one, client_of(one.app) as http:
        own_server.stop()
        try:
            await until(lambda: not one.link.together)
            one.tap.down = True
            failed = await http.get("/api/v1/perps/funding?coins=BTC&venues=bybit")
        finally:
            own_server.start()
    assert 502 == failed.status_code
    assert failed.json()["meta"]["fleet"].startswith("alone: ")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"store": "redis://h"}, "live"),
        ({"store": "rediss://h", "source": "sim", "seed": 7}, "sim:7"),
        ({"store": "redis://h", "source": "sim:http://h:1"}, "sim:http://h:1"),
        ({"store": "redis://h", "source": "sim", "faults": "okx:http=503"}, ""),
        ({"store": "redis://h", "source": "sim", "now": "1789453123000"}, ""),
        ({"store": "redis://h", "source": "replay:x.har"}, ""),
        ({"store": "memory", "source": "sim"}, ""),
        ({"store": "", "source": "live"}, ""),
    ],
    ids=str,
)
async def test_whose_answers_are_shared(settings: dict[str, Any], expected: str) -> None:
    """Kinds and markets keep apart; what belongs to one process alone is not shared."""
    async with anyio.create_task_group() as tasks:
        app = App(Settings(**settings), tasks)
        assert expected == (app._market() if app._shares() else "")
        watched = App(Settings(**settings), tasks, wrap=lambda base: base)
        assert not watched._shares()


@in_time
async def test_replicas_whose_clocks_are_an_hour_apart(own_server: RedisProcess, seed: int) -> None:
    """Each tells the time by its own clock; the rows are the same, and as old as they are."""
    async with (
        replica(own_server, seed) as here,
        replica(own_server, seed, HourAhead()) as ahead,
    ):
        question = ("get_oi", {"coins": "BTC", "venues": "hyperliquid"})
        first = await here.ask(*question)
        await here.shared()
        other = await ahead.ask(*question)
        assert 0 == ahead.sent
    apart = other["meta"]["fetchedAt"] - first["meta"]["fetchedAt"]
    assert 3_600_000 == pytest.approx(apart, abs=2_000)
    rows = [{**answer["data"][0], "fetchedAt": 0} for answer in (first, other)]
    assert rows[0] == rows[1]
