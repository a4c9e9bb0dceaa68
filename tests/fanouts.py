"""A fan-out for tests: venues that the tests invent, over a client whose hosts they script."""

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
from fakes import Answer, Scripted

from mmflow_mcp.bus import Bus
from mmflow_mcp.clock import SystemClock
from mmflow_mcp.core.archive import Archive
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.rows import FundingRow
from mmflow_mcp.tape.hub import Hub
from mmflow_mcp.upstream.client import Upstream
from mmflow_mcp.upstream.wire import Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import Funding

READ_AT = 1_789_453_123_000


def parse(wire: Wire) -> dict[str, FundingRow]:
    """Rows by coin, of `{"BTC": 0.0001}`."""
    return {
        coin: FundingRow(
            coin, wire.doc["venue"], rate, 8, wire.fetched_at, f"{coin}USDT", "predicted", 1.0
        )
        for coin, rate in wire.doc["rates"].items()
    }


class Plain(Venue):
    """Asks one address for its rates. The tests' venues are of this class."""

    kind = "cex"

    def __init__(self, name: str) -> None:
        self.id = name  # type: ignore[misc]

    def rates(self, path: str = "rates", **how: Any) -> Call:
        """The address of its rates."""
        return get(f"https://{self.id}.test/{path}", **how)

    async def funding(self, ask: Ask) -> list[FundingRow]:
        """What the one answer holds."""
        wire = await ask.get(self.rates())
        return ask.pick(wire.parsed(parse))


Method = Callable[[Plain, Ask], Coroutine[Any, Any, list[FundingRow]]]


def doing(name: str, method: Method) -> Plain:
    """A venue whose capability is written in the test."""

    class Special(Plain):
        async def funding(self, ask: Ask) -> list[FundingRow]:
            return await method(self, ask)

    return Special(name)


def good(venue: str, **rates: float) -> httpx2.Response:
    """A venue's good answer."""
    doc = {"venue": venue, "rates": rates or {"BTC": 0.0001, "ETH": 0.0002}}
    return httpx2.Response(200, content=json.dumps(doc).encode(), extensions={"read_at": READ_AT})


class World:
    """A core over a base in which each host has its own answer."""

    def __init__(self, core: Core, base: Scripted, answers: dict[str, Any]) -> None:
        self.core = core
        self.base = base
        self.answers = answers

    async def ask(self, *venues: Venue, coins: tuple[str, ...] | None = ("BTC",)) -> Gathered:
        """One question."""
        return await gather(self.core, Funding, venues, coins)


@asynccontextmanager
async def world(deadline: float = 2.0, kind: str = "live", **answers: Any) -> AsyncIterator[World]:
    """Hosts are `NAME.test`; what is not given answers well. A path's own answer is `NAME_path`."""

    def script(asked: httpx2.Request) -> Any:
        name, path = asked.url.host.removesuffix(".test"), asked.url.path.strip("/")
        found = answers.get(f"{name}_{path}", answers.get(name, lambda: good(name)))
        return found()

    base = Scripted(script)
    async with anyio.create_task_group() as tasks:
        clock = SystemClock()
        upstream = Upstream(base, kind=kind, clock=clock, tasks=tasks)
        archive = Archive(None, clock=clock, soon=lambda *_: None)
        hub = Hub(upstream, clock, tasks)
        core = Core(upstream, clock, Bus(clock), archive, hub, deadline=deadline)
        yield World(core, base, answers)
        await upstream.aclose()
        tasks.cancel_scope.cancel()


def later(seconds: float, answer: Callable[[], Answer]) -> Callable[[], Any]:
    """The answer after a while."""

    async def wait() -> Answer:
        await anyio.sleep(seconds)
        return answer()

    return wait


def http(
    status: int, body: bytes = b"{}", headers: dict[str, str] | None = None
) -> Callable[[], httpx2.Response]:
    """An answer of a status."""
    return lambda: httpx2.Response(status, content=body, headers=headers)


A, B, C = Plain("alpha"), Plain("beta"), Plain("gamma")
