"""A fleet of four replicas on one Redis: what venues are asked, against one replica.

The load is steady and the same for both: eight connections, each with a question twice a
second. What is counted begins once every replica has answered every question. Prices are asked for
anew every five seconds, all at about the same time, so a mere count would be off by a round at its
ends: for each request that venues got, its rate is taken from the first to the last time.
"""

import contextlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace

import anyio
from cold import EVERYWHERE, ask, forget
from common import HERE, ROOT, SERVER, Figure, free_port, simulated_venues
from rest import Connection, get, listening, once

from mmflow_mcp.app import running
from mmflow_mcp.settings import Settings, from_environment

sys.path.insert(0, str(ROOT / "tests"))
from servers import NO_SERVER, RedisProcess, redis_process

REPLICAS = 4
CONNECTIONS = 8
PAUSE = 0.5
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
            while max(due, time.monotonic()) < began + SECONDS:
                time.sleep(max(0.0, due - time.monotonic()))
                connection.ask(get(QUESTIONS[(self._number + self.asked) % len(QUESTIONS)]))
                connection.answer()
                self.asked += 1
                # A machine too busy for the pace is asked less, not longer.
                due = max(due + PAUSE, time.monotonic())
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


def rate(base: str, since: float) -> tuple[float, int]:
    """Requests a second that venues got since a moment, of what they got repeatedly; their number.

    Monotonic time is the same for all processes of a machine.
    """
    with urllib.request.urlopen(f"{base}/requests", timeout=30) as answer:  # noqa: S310 - ours
        asked = json.load(answer)
    times: dict[str, list[float]] = defaultdict(list)
    for at, question in asked:
        if at >= since:
            times[question].append(at)
    repeated = [found for found in times.values() if len(found) > 2]
    rates = [(len(found) - 1) / (found[-1] - found[0]) for found in repeated]
    return sum(rates), sum(map(len, times.values()))


def steady(count: int) -> tuple[float, str]:
    """Requests a second that so many replicas send under the load; what was asked, in words."""
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
                once(port, get(question))
        loads = [Load(ports[n % count], n) for n in range(CONNECTIONS)]
        began = time.monotonic()
        threads = [threading.Thread(target=load.run, args=(began,)) for load in loads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found, number = rate(base, began)
        return found, f"{number} requests for {sum(load.asked for load in loads)} questions"


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
        one, said_one = steady(1)
        four, said_four = steady(REPLICAS)
        with simulated_venues("*:latency=0.05") as base, redis() as server:
            settings = replace(from_environment({}), source=f"sim:{base}", store="memory")
            alone, shared = anyio.run(cold, settings, replace(settings, store=server.url))
    say(
        f"fleet: {one:.2f} requests a second to one replica ({said_one}), {four:.2f} to {REPLICAS}"
        f" ({said_four}); cold {alone * 1000:.1f} ms alone, {shared * 1000:.1f} ms shared"
    )
    return [
        Figure(
            f"requests of {REPLICAS} replicas against one",
            four / one,
            1.1,
            "x",
            f"{said_four} in {SECONDS:g} s; one: {said_one}",
        ),
        Figure(
            "cold get_funding through the shared cache",
            shared / alone,
            1.5,
            "x",
            f"against {alone * 1000:.0f} ms alone, 50 ms a request",
        ),
    ]
