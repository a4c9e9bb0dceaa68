"""Replicas as processes on one Redis: killed and started while they are asked."""

import itertools
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
import test_surfaces_processes as processes
from cachefleets import until
from servers import NO_SERVER, redis_process
from test_surfaces_processes import listening

from mmflow_mcp.clock import SystemClock
from mmflow_mcp.sim.app import SimApp, SimResponse
from mmflow_mcp.sim.faults import parse_fault
from mmflow_mcp.sim.market import market_of
from mmflow_mcp.sim.server import build_server

pytestmark = pytest.mark.anyio

VENUES = ("hyperliquid", "binance", "bybit", "okx")
COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "BNB", "ADA", "LINK")
INTERVALS = ("1m", "5m", "15m", "1h", "4h", "1d")
QUESTIONS = [
    f"/api/v1/markets/candles?coin={coin}&venue={venue}&interval={interval}"
    for interval, coin, venue in itertools.product(INTERVALS, COINS, VENUES)
]
WORKERS = 2
PACE = 0.03

Asked = tuple[str, str, str, bytes, bytes]


class CountingSim(SimApp):
    """The simulated venues, which note when what was asked."""

    times: list[tuple[float, Asked]]

    def reply(self, method: str, host: str, path: str, query: bytes, body: bytes) -> SimResponse:
        """One answer."""
        self.times.append((time.monotonic(), (method, host, path, query, body)))
        return super().reply(method, host, path, query, body)


@contextmanager
def venues(fault: str) -> Iterator[tuple[str, CountingSim]]:
    """Simulated venues in a thread of their own."""
    app = CountingSim(market_of(1), SystemClock(), [parse_fault(fault)])
    app.times = []
    server = build_server(app)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}", app
        finally:
            server.should_exit = True
            thread.join(20)


class Served:
    """A replica's process, and what its askers got: statuses, and errors of the connection."""

    def __init__(self, port: int, child: "subprocess.Popen[str]") -> None:
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.child = child
        self.killed = False
        self.statuses: Counter[int] = Counter()
        self.broken = 0
        self.partial = 0

    async def ask(self, start: int, stop: anyio.Event) -> None:
        """Ask one question after the other until told to stop, or killed."""
        async with httpx2.AsyncClient(base_url=self.base, timeout=30, verify=False) as http:
            for path in itertools.islice(itertools.cycle(QUESTIONS), start, None):
                if stop.is_set() or self.killed:
                    return
                try:
                    answer = await http.get(path)
                except httpx2.HTTPError:
                    self.broken += 1
                    return
                self.statuses[answer.status_code] += 1
                self.partial += answer.json()["meta"]["partial"]
                await anyio.sleep(PACE)

    def up(self) -> bool:
        """Whether it listens."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it as a machine does that loses its power."""
        self.killed = True
        self.child.kill()


@pytest.mark.slow
async def test_replicas_killed_and_started_under_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer is lost but those in flight on the killed one; none is asked for by each replica.

    The whole load asks venues at most once for each question and the time that it stays fresh, but
    for flights that died with their replica.
    """
    env = {"MMFLOW_DATA": str(tmp_path), "MMFLOW_ANON_PER_MINUTE": "0", "MMFLOW_RECORD": "off"}
    monkeypatch.setattr(processes, "ENVIRONMENT", {**processes.ENVIRONMENT, **env})
    with ExitStack() as stack:
        redis = stack.enter_context(redis_process())
        if redis is None:
            pytest.skip(NO_SERVER)
        base, app = stack.enter_context(venues("*:latency=0.15"))
        words = ["serve", "--source", f"sim:{base}", "--store", redis.url]
        replicas: list[Served] = []

        async def start() -> None:
            made = await anyio.to_thread.run_sync(stack.enter_context, listening(*words))
            replica = Served(*made)
            await until(replica.up, seconds=120)
            replicas.append(replica)

        async with anyio.create_task_group() as starting:
            starting.start_soon(start)
            starting.start_soon(start)
        stop, began = anyio.Event(), time.monotonic()
        async with anyio.create_task_group() as tasks:

            def load(replica: Served) -> None:
                for worker in range(WORKERS):
                    tasks.start_soon(replica.ask, worker * len(QUESTIONS) // WORKERS, stop)

            for replica in replicas:
                load(replica)
            await answered(*replicas)
            await start()
            load(replicas[2])
            await answered(*replicas)
            replicas[0].kill()
            await answered(*replicas[1:])
            replicas[1].kill()
            await answered(replicas[2])
            stop.set()
        spent = time.monotonic() - began
    for replica in replicas:
        assert {200} == set(replica.statuses)
        assert 0 == replica.partial
    assert max(replica.broken for replica in replicas[:2]) <= WORKERS
    assert 0 == replicas[2].broken
    most = max(Counter(asked for _, asked in app.times).values())
    assert most <= 1 + spent / 5 + 2


async def answered(*replicas: Served, count: int = 5) -> None:
    """Wait until each has given so many answers more."""
    wanted = [(replica, replica.statuses.total() + count) for replica in replicas]
    await until(lambda: all(r.statuses.total() >= total for r, total in wanted), seconds=120)
