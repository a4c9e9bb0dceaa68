"""Cold fan-outs with 50 ms in every request, the simulated venues in a process of their own."""

import collections
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import anyio
import httpx2
from common import Figure, simulated_venues
from pydantic_core import from_json

from mmflow_mcp.app import App, running
from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.settings import Settings, from_environment
from mmflow_mcp.upstream.wire import Call

DELAY_MS = 50
RUNS = 7
EVERYWHERE = {"coins": ["BTC", "ETH", "SOL"], "venues": ["all"]}
FOUR = {"coins": ["BTC", "ETH", "SOL"], "venues": ["hyperliquid", "binance", "bybit", "okx"]}


class Counter:
    """Counts the requests that an app sends and the bytes it reads."""

    def __init__(self, app: App) -> None:
        self.calls: list[Call] = []
        self.bodies: list[bytes] = []
        upstream = app.core().upstream
        cache = upstream._cache  # noqa: SLF001 - a benchmark looks below the surface
        inner = cache._inner  # noqa: SLF001
        original = inner.handle_async_request

        async def counted(request: httpx2.Request) -> httpx2.Response:
            self.calls.append(request.extensions["call"])
            response = await original(request)
            self.bodies.append(await response.aread())
            return response

        inner.handle_async_request = counted  # type: ignore[method-assign]


async def ask(app: App, name: str, question: Mapping[str, object]) -> float:
    """Seconds of one question."""
    e = endpoints()[name]
    query = e.query(**question)
    started = time.perf_counter()
    await e.handler(app.core(), query)
    return time.perf_counter() - started


def forget(app: App, *, lists_too: bool) -> None:
    """Empty the cache, but for the lists that change by the day unless `lists_too`."""
    wires = app.core().upstream._cache._wires  # noqa: SLF001
    for key in list(wires):
        url = key[0]
        daily = any(part in url for part in ("exchangeInfo", "instruments", "fundingInfo"))
        if lists_too or not daily:
            del wires[key]


def decoding_ms(bodies: list[bytes]) -> float:
    """Milliseconds of merely decoding the bytes that were read."""
    best = []
    read = [from_json if body.lstrip()[:1] in b"[{" else bytes.decode for body in bodies]
    for _ in range(5):
        started = time.perf_counter()
        for body, decode in zip(bodies, read, strict=True):
            decode(body)
        best.append(time.perf_counter() - started)
    return statistics.median(best) * 1000


async def fan_out(settings: Settings, name: str) -> tuple[float, float]:
    """Median milliseconds of a cold question over all venues, lists known, and its decoding."""
    async with running(settings) as app:
        await ask(app, name, EVERYWHERE)
        counter = Counter(app)
        spent, decoded = [], []
        for _ in range(RUNS):
            forget(app, lists_too=False)
            counter.bodies.clear()
            spent.append(await ask(app, name, EVERYWHERE))
            decoded.append(decoding_ms(counter.bodies))
        return statistics.median(spent) * 1000, statistics.median(decoded)


async def flow_summary(settings: Settings) -> tuple[int, int, float, float]:
    """Requests, the most of one payload, median ms of a cold summary of three coins, decoding.

    Each run has an app of its own, which keeps nothing on disk.
    """
    spent, decoded, most, asked = [], [], 0, 0
    for _ in range(RUNS):
        async with running(settings, lambda base: base) as app:
            counter = Counter(app)
            spent.append(await ask(app, "get_flow_summary", {}))
            decoded.append(decoding_ms(counter.bodies))
            times = collections.Counter(call.key for call in counter.calls)
            asked, most = len(times), max(most, *times.values())
    return asked, most, statistics.median(spent) * 1000, statistics.median(decoded)


async def both(app: App) -> float:
    """Seconds of funding and open interest together."""
    started = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, app, "get_funding", FOUR)
        tasks.start_soon(ask, app, "get_oi", FOUR)
    return time.perf_counter() - started


async def four_venues(settings: Settings) -> tuple[int, float, int, float]:
    """Requests and seconds of the four-venue question: when first asked, and later."""
    first_counts, first_times, later_counts, later_times = [], [], [], []
    for _ in range(RUNS):
        async with running(settings) as app:
            app.core()
            endpoints()
            counter = Counter(app)
            first_times.append(await both(app))
            first_counts.append(len(counter.calls))
            counter.calls.clear()
            forget(app, lists_too=False)
            later_times.append(await both(app))
            later_counts.append(len(counter.calls))
    return (
        max(first_counts),
        statistics.median(first_times),
        max(later_counts),
        statistics.median(later_times),
    )


async def crowd(settings: Settings) -> tuple[int, int, int]:
    """Requests of one asker, of 200 at once, and how many of 199 are answered without the first."""
    counts = []
    for askers in (1, 200):
        async with running(settings) as app:
            counter = Counter(app)
            async with anyio.create_task_group() as tasks:
                for _ in range(askers):
                    tasks.start_soon(ask, app, "get_funding", EVERYWHERE)
            counts.append(len(counter.calls))
    answered = 0
    async with running(settings) as app:
        app.core()
        first = anyio.CancelScope()

        async def cancelled() -> None:
            with first:
                await ask(app, "get_funding", EVERYWHERE)

        async def other() -> None:
            nonlocal answered
            await ask(app, "get_funding", EVERYWHERE)
            answered += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancelled)
            for _ in range(199):
                tasks.start_soon(other)
            await anyio.sleep(0.02)
            first.cancel()
    return counts[0], counts[1], answered


def measure(say: Callable[[str], None]) -> list[Figure]:
    """All of it on one simulated market."""
    with simulated_venues(f"*:latency={DELAY_MS / 1000}") as base:
        settings = replace(from_environment({}), source=f"sim:{base}")
        funding, decode_funding = anyio.run(fan_out, settings, "get_funding")
        interest, decode_interest = anyio.run(fan_out, settings, "get_oi")
        parts, most, summary, decode_summary = anyio.run(flow_summary, settings)
        first, first_s, later, later_s = anyio.run(four_venues, settings)
        one, many, answered = anyio.run(crowd, settings)
    say(
        "cold: "
        + json.dumps(
            {
                "fundingMs": round(funding),
                "decodeMs": round(decode_funding, 1),
                "oiMs": round(interest),
            }
        )
    )
    allowed = DELAY_MS + 2 * decode_funding + 25
    allowed_oi = 2 * DELAY_MS + 2 * decode_interest + 25
    allowed_summary = 2 * DELAY_MS + 2 * decode_summary + 40
    return [
        Figure("cold get_funding, all venues", funding, allowed, "ms", "50 + 2 x decoding + 25"),
        Figure("cold get_oi, all venues", interest, allowed_oi, "ms", "100 + 2 x decoding + 25"),
        Figure(
            "cold get_flow_summary, no list known",
            summary,
            allowed_summary,
            "ms",
            "100 + 2 x decoding + 40",
        ),
        Figure("requests for one payload of it", most, 1, "", f"{parts} payloads"),
        Figure("funding and OI, 4 venues, first", first, 22, "requests", "BTC, ETH, SOL"),
        Figure("the same, time", first_s, 0.25, "s", "50 ms a request"),
        Figure("funding and OI, 4 venues, later", later, 17, "requests", "daily lists known"),
        Figure("the same, time", later_s, 0.13, "s", "50 ms a request"),
        Figure(
            "200 askers against one", many / one, 1, "x", f"{many} requests for 200, {one} for 1"
        ),
        Figure("unanswered when the first of 200 is cancelled", 199 - answered, 0, "", "of 199"),
    ]
