"""A fleet of four replicas on one Redis: what venues are asked, against one replica.

The load is steady and the same for both: eight connections, each with a question every third of a
second. What is counted begins once every replica has answered every question.
"""

import contextlib
import os
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace

import anyio
from cold import EVERYWHERE, ask, forget
from common import HERE, ROOT, SERVER, Figure, free_port, simulated_venues
from rest import Connection, listening, once

from mmflow_mcp.app import running
from mmflow_mcp.settings import Settings, from_environment

sys.path.insert(0, str(ROOT / "tests"))
from servers import NO_SERVER, RedisProcess, redis_process

REPLICAS = 4
CONNECTIONS = 8
PAUSE = 0.33
# Prices are fresh for 5 s, so this is six rounds of asking.
SECONDS = 30.0
RUNS = 15
QUESTIONS = (
    "/api/v1/perps/funding?coins=BTC,ETH,SOL&venues=all",
    "/api/v1/perps/oi?coins=BTC,ETH,SOL&venues=all",
    "/api/v1/perps/funding?venues=hyperliquid",
    "/api/v1/markets/spot?coins=BTC,ETH",
    "/api/v1/options/gex?underlying=BTC",
    "/api/v1/options/skew?underlying=ETH",
    "/api/v1/markets/candles?coin=BTC&venue=binance&interval=1m",
    "/api/v1/markets/candles?coin=ETH&venue=okx&interval=1h",
    "/api/v1/perps/positioning?coins=BTC,ETH",
    "/api/v1/flows/kimchi?coin=BTC",
)


class Load:
    """One connection with a question at a time, at a steady pace."""

    def __init__(self, port: int, number: int) -> None:
        self.asked = 0
        self._port = port
        self._number = number

    def run(self, began: float) -> None:
        """Ask until the time is over."""
        connection = Connection(self._port)
        try:
            due = began + PAUSE * self._number / CONNECTIONS
            while due < began + SECONDS:
                time.sleep(max(0.0, due - time.monotonic()))
                connection.ask(QUESTIONS[(self._number + self.asked) % len(QUESTIONS)])
                connection.answer()
                self.asked += 1
                due += PAUSE
        finally:
            connection.close()


@contextlib.contextmanager
def serving(base: str, store: str, count: int) -> Iterator[list[int]]:
    """So many replicas; their ports."""
    ports = [free_port() for _ in range(count)]
    with contextlib.ExitStack() as stack:
        for port in ports:
            words = ["serve", "--source", f"sim:{base}", "--store", store, "--record", "off"]
            stack.enter_context(listening([*SERVER, *words, "--port", str(port)], port))
        yield ports


def requests(base: str) -> int:
    """How often the venues were asked."""
    with urllib.request.urlopen(f"{base}/requests", timeout=30) as answer:  # noqa: S310 - ours
        return int(answer.read())


def steady(count: int) -> tuple[int, int]:
    """What venues were asked by so many replicas under the load, and the questions it put."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with (
        contextlib.ExitStack() as stack,
        listening([str(HERE / "counting_venues.py"), str(port)], port),
    ):
        server = stack.enter_context(redis())
        ports = stack.enter_context(serving(base, server.url, count))
        for port in ports:
            for question in QUESTIONS:
                once(port, question)
        loads = [Load(ports[n % count], n) for n in range(CONNECTIONS)]
        before, began = requests(base), time.monotonic()
        threads = [threading.Thread(target=load.run, args=(began,)) for load in loads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return requests(base) - before, sum(load.asked for load in loads)


@contextlib.contextmanager
def redis() -> Iterator[RedisProcess]:
    """A server of its own."""
    with redis_process() as server:
        if server is None:
            raise RuntimeError(NO_SERVER)
        yield server


async def cold(settings: Settings, fleet: Settings) -> tuple[float, float]:
    """Median seconds of a cold question over all venues, alone and through the shared cache."""
    spent: dict[str, list[float]] = {"alone": [], "fleet": []}
    async with running(settings) as alone, running(fleet) as shared:
        apps = {"alone": alone, "fleet": shared}
        link = shared.link
        assert link is not None
        for _ in range(RUNS + 1):
            for name, app in apps.items():
                forget(app, lists_too=False)
                # Copies are as fresh as the memory was.
                await link._server.client.flushdb()  # noqa: SLF001 - a benchmark looks below
                spent[name].append(await ask(app, "get_funding", EVERYWHERE))
        assert link.together
    return statistics.median(spent["alone"][1:]), statistics.median(spent["fleet"][1:])


def measure(say: Callable[[str], None]) -> list[Figure]:
    """The load on one replica, then on four; and what the shared cache costs a cold question."""
    # Questions are not to be counted, and no file of an earlier run is to answer.
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MMFLOW_ANON_PER_MINUTE": "0", "MMFLOW_DATA": folder}
        one, asked = steady(1)
        four, asked_four = steady(REPLICAS)
        with simulated_venues("*:latency=0.05") as base, redis() as server:
            settings = replace(from_environment({}), source=f"sim:{base}", store="memory")
            alone, shared = anyio.run(cold, settings, replace(settings, store=server.url))
    say(
        f"fleet: {one} requests for {asked} questions to one replica, {four} for {asked_four} to"
        f" {REPLICAS}; cold {alone * 1000:.1f} ms alone, {shared * 1000:.1f} ms shared"
    )
    return [
        Figure(
            f"requests of {REPLICAS} replicas against one",
            four / one,
            1.1,
            "x",
            f"{four} for {asked_four} questions, {one} for {asked}, over {SECONDS:g} s",
        ),
        Figure(
            "cold get_funding through the shared cache",
            shared / alone,
            1.25,
            "x",
            f"against {alone * 1000:.0f} ms alone, 50 ms a request",
        ),
    ]
