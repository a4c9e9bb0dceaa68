"""Two replicas on one Redis: streams that go over, notices, whales, and what is said alone."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
import test_surfaces_processes as processes
from fleets import few_coins, quick, until
from mcp import Client
from servers import NO_SERVER, RedisProcess, redis_process
from test_live import covered, fast, truth
from test_sse import events, served, serving, take
from worlds import NOW, ask

from mmflow_mcp.app import App, running
from mmflow_mcp.clock import FastClock, SystemClock
from mmflow_mcp.core.whale_shelf import WhaleShelf
from mmflow_mcp.fleet import channel
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.settings import from_environment
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import market_of
from mmflow_mcp.surfaces.mcp import build_server
from mmflow_mcp.tape.shared import SharedFeed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick", "few_coins")]

__all__ = ["few_coins", "quick"]

HL = "hyperliquid"
# What `serve --tape` opens: trades and rates are one socket each.
ONCE = {"api.hyperliquid.xyz": 2, "ws-feed.exchange.coinbase.com": 1}
SOCKETS = {("api.hyperliquid.xyz", "/ws"), ("ws-feed.exchange.coinbase.com", "/")}
SPEED = 60.0


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    """A server of this test alone, to be stopped."""
    with redis_process() as process:
        if process is None:
            pytest.skip(NO_SERVER)
        yield process


@pytest.fixture(autouse=True)
def steady(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody dies in this process: a lease that a busy machine does not lose."""
    monkeypatch.setattr(channel, "LEASE_MS", 20_000)


@asynccontextmanager
async def two(server: RedisProcess, **given: Any) -> AsyncIterator[tuple[App, App]]:
    """Two replicas of one market: a simulated one is the same for all."""
    clock = FastClock(NOW, SPEED)
    settings = from_environment({}, source="sim", deadline=60.0, store=server.url, **given)
    async with running(settings, clock=clock) as one, running(settings, clock=clock) as other:
        yield one, other


def feed(app: App, channel: str = "trades") -> SharedFeed:
    """A feed of a replica."""
    found = app.core().tape.feed(HL, channel)
    assert isinstance(found, SharedFeed)
    return found


async def test_a_listener_goes_from_replica_to_replica(server: RedisProcess) -> None:
    """Each time with the last id that the other gave it: every print once; then without Redis."""
    async with two(server) as apps, AsyncExitStack() as stack:
        bases = [await stack.enter_async_context(served(app)) for app in apps]
        for app in apps:
            await covered(app, 1, coin="BTC")
        seen: list[int] = []
        last = ""
        for turn in range(6):
            path = "/api/v1/streams/trades?coin=BTC"
            found = await take(bases[turn % 2], path, 4, last)
            seen += [one["data"]["ts"] for one in found]
            last = found[-1]["id"]
        # On a machine so busy that a socket breaks, what it hid comes late.
        assert [p.at_ms for p in truth("BTC", min(seen) - 1, max(seen))] == sorted(seen)
        await until(lambda: 1 == sum(feed(app).holds_socket for app in apps), "two sockets")
        together = await ask(apps[0], "get_whales", coin="BTC")
        assert "fleet" not in together.meta
        server.stop()
        await until(lambda: ["alone"] * 2 == [feed(app).role for app in apps], "nobody notices")
        for app in apps:
            alone = await ask(app, "get_whales", coin="BTC")
            assert alone.meta["fleet"].startswith("alone: ")
            watched = await ask(app, "watch_trades", coin="BTC", seconds=0.2)
            assert alone.meta["fleet"] == watched.meta["fleet"]
        found = await take(bases[1], "/api/v1/streams/trades?coin=BTC", 4, last)
        assert not {one["data"]["ts"] for one in found} & set(seen)


@pytest.mark.filterwarnings("ignore:resources/.*subscribe is removed")
async def test_a_notice_reaches_the_subscribers_of_every_replica(server: RedisProcess) -> None:
    """Of both eras, once; what is of one replica only, or is followed here, is not passed on."""
    uri, status = "mmflow://history/oi/BTC", "mmflow://status"
    heard: Counter[str] = Counter()

    async def legacy(message: Any) -> None:
        heard[f"2025 {getattr(getattr(message, 'params', None), 'uri', None)}"] += 1

    async with two(server) as (one, other), AsyncExitStack() as stack:
        old = Client(build_server(other), mode="legacy", message_handler=legacy)
        old = await stack.enter_async_context(old)
        new = await stack.enter_async_context(Client(build_server(other)))
        for name in (uri, status):
            await old.session.subscribe_resource(name)
        tasks = await stack.enter_async_context(anyio.create_task_group())

        async def listen(*, task_status: Any) -> None:
            async with new.listen(resource_subscriptions=[uri, status]) as events:
                task_status.started()
                async for event in events:
                    heard[f"2026 {event.uri}"] += 1  # type: ignore[union-attr]

        await tasks.start(listen)
        until_told = {f"2025 {uri}": 1, f"2026 {uri}": 1}
        one.bus.publish(status, everywhere=False)
        one.bus.publish(uri)
        await until(lambda: heard == until_told, f"not told: {heard}")
        other.bus.own = lambda name: name == uri
        for _ in range(3):
            one.bus.publish(uri)
        one.bus.publish("mmflow://history/oi/ETH")
        seen: list[str] = []
        other.bus.listen(seen.append)
        await until(lambda: "mmflow://history/oi/ETH" in seen, "not told")
        assert until_told == heard
        back: list[str] = []
        one.bus.listen(back.append)
        other.bus.publish("mmflow://history/oi/SOL")
        await until(lambda: "mmflow://history/oi/SOL" in back, "not told the other way")
        await anyio.sleep(0.2)
        assert 1 == seen.count("mmflow://history/oi/SOL"), "it has come back"
        tasks.cancel_scope.cancel()


async def test_whales_are_kept_by_one_and_by_nobody_lost(server: RedisProcess) -> None:
    """A follower writes none; who writes adds to what lies there of a minute it half knows."""
    async with two(server) as apps:
        for app in apps:
            await covered(app, 1, coin="BTC")
        first, second = sorted(apps, key=lambda app: feed(app).role == "leader")
        now = first.clock.now_ms() - 120_000
        prints = [
            TapePrint(HL, coin, now + n, "buy", 60_000.0, 2.0, 120_000.0, n)
            for coin in ("BTC", "ETH")
            for n in range(4)
        ]
        for app, some in ((first, prints), (second, prints[::2])):
            app.core().tape.tape(HL).remember(some, now + 120_000)
        await first.core().whales.keep(first.core())
        store = first.core().archive.store
        assert store is not None
        assert [] == [s for s in await store.series() if s.key.metric == "whales"]
        await second.core().whales.keep(second.core())

        async def stored() -> set[tuple[str, int]]:
            found = [s.key for s in await store.series() if s.key.metric == "whales"]
            return {
                (key.coin, row[4])
                for key in found
                for point in await store.read(key)
                for row in (point.extra or {})["prints"]
                if row[4] < 4  # no real one has so small an id
            }

        assert {(p.coin, p.trade_id) for p in prints[::2]} == await stored()
        second.core().tape.tape(HL).remember(prints[1::2], now + 120_000)
        tape = second.core().tape.tape(HL)
        for one in prints[::2]:
            tape.large.remove(one)
        await WhaleShelf().keep(second.core())
        assert {(p.coin, p.trade_id) for p in prints} == await stored()


async def healthy(base: str) -> bool:
    """Whether a server answers: a busy machine may be slow to start it."""
    async with httpx2.AsyncClient(timeout=10) as client:
        try:
            return 200 == (await client.get(f"{base}/healthz")).status_code
        except httpx2.HTTPError:
            return False


@pytest.mark.slow
async def test_processes_share_sockets_and_take_over(server: RedisProcess, tmp_path: Path) -> None:
    """`serve --tape` twice: one socket a feed, both tell the same; one is killed, one goes on."""
    sim = SimApp(market_of(1), SystemClock())
    words = ["--source", "", "--store", server.url, "--record", "off", "--tape"]
    path = "/api/v1/streams/whales?minUsd=0"

    def opened() -> dict[str, int]:
        return {host: n for (host, _), n in sim.requests.items() if (host, _) in SOCKETS}

    async with serving(sim) as market:
        words[1] = f"sim:{market}"
        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
            given = {**processes.ENVIRONMENT, "MMFLOW_DATA": str(tmp_path)}
            patch.setattr(processes, "ENVIRONMENT", given)

            async def start() -> tuple[str, Any]:
                entered = stack.enter_context
                listening = processes.listening("serve", *words)
                port, child = await anyio.to_thread.run_sync(entered, listening)
                base = f"http://127.0.0.1:{port}"
                with anyio.fail_after(60):
                    while not await healthy(base):  # noqa: ASYNC110 - another process
                        await anyio.sleep(0.1)
                return base, child

            first, child = await start()
            await until(lambda: opened() == ONCE, f"sockets: {opened()}")
            second, _ = await start()
            heard: dict[str, list[str]] = {first: [], second: []}

            async def hear(base: str) -> None:
                async for one in events(base, path):
                    heard[base].append(one["id"])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hear, second)
                await until(lambda: len(heard[second]) > 20, "the second tells nothing")
                with anyio.fail_after(20):
                    # What came while the second was still reading the stream back is left alone.
                    found = await take(first, path, 20, heard[second][20])
                await until(lambda: len(heard[second]) > 40, "the second tells no more")
                assert heard[second][21:41] == [one["id"] for one in found]
                assert ONCE == opened()
                child.kill()
                await until(lambda: opened() == {h: 2 * n for h, n in ONCE.items()}, "no new ones")
                so_far = len(heard[second])
                await until(lambda: len(heard[second]) > so_far + 20, "the stream has ended")
                assert len(set(heard[second])) == len(heard[second])
                tasks.cancel_scope.cancel()


async def test_without_a_fleet_nothing_of_it_is_loaded() -> None:
    """A tape of one process has no relay and its notices go nowhere else."""
    async with fast() as app:
        await covered(app, 1, coin="BTC")
        hub = app.core().tape
        assert hub.relay is None
        assert not isinstance(hub.feed(HL), SharedFeed)
