"""Replicas in one process: each a memory of its own over the cache that all share."""

import itertools
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import httpx2
from anyio.abc import TaskGroup
from fakes import Scripted, judged, request
from servers import RedisProcess

from mmflow_mcp.clock import Clock, SystemClock
from mmflow_mcp.fleet.link import Link
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.upstream.cache import CacheTransport
from mmflow_mcp.upstream.fleet_cache import FleetCacheTransport, Flown
from mmflow_mcp.upstream.wire import Call, Wire

# On a busy machine an answer from loopback may take long; nothing here measures that.
PATIENCE = 5.0
# What is to happen soon has this long.
SOON = 20.0


class HourAhead(SystemClock):
    """A machine whose wall clock is an hour wrong."""

    def now_ms(self) -> int:
        """An hour from now."""
        return super().now_ms() + 3_600_000


class Replica:
    """One of the fleet. `inner` is what it asks venues through; `learnt` what others told it."""

    def __init__(
        self,
        url: str,
        inner: httpx2.AsyncBaseTransport,
        tasks: TaskGroup,
        *,
        space: str,
        clock: Clock | None = None,
        patience: float = PATIENCE,
        attempt_seconds: float = 6.0,
    ) -> None:
        self.clock = clock or SystemClock()
        self.learnt: list[Flown] = []
        self.link = Link(RedisServer(url), self.clock, patience=patience)
        self.shared = FleetCacheTransport(
            inner,
            self.link,
            space=space,
            clock=self.clock,
            tasks=tasks,
            attempt_seconds=attempt_seconds,
            learn=self.learnt.append,
        )
        self.cache = CacheTransport(
            self.shared, clock=self.clock, tasks=tasks, max_bytes=10_000_000, flight_seconds=30.0
        )

    async def wire(self, asked: Call | None = None, *, seconds: float = 10.0) -> Wire:
        """The wire of an answer, asked with so many seconds left."""
        deadline = self.clock.monotonic() + seconds
        response = await self.cache.handle_async_request(request(asked, deadline=deadline))
        wire = response.extensions["wire"]
        assert isinstance(wire, Wire)
        return wire

    async def ask(self, asked: Call | None = None, *, seconds: float = 10.0) -> Any:
        """Its document."""
        return (await self.wire(asked, seconds=seconds)).doc


class Fleet:
    """Makes replicas of one space on one server, each with tasks of its own."""

    def __init__(self, server: RedisProcess, stack: AsyncExitStack) -> None:
        self.server = server
        self.space = f"test-{secrets.token_hex(4)}"
        self._stack = stack

    async def replica(self, inner: httpx2.AsyncBaseTransport, **how: Any) -> Replica:
        """One more, with its link running and its line open."""
        made = await self._stack.enter_async_context(self.alone(inner, **how))
        await until(lambda: made.link.hears)
        return made

    @asynccontextmanager
    async def alone(self, inner: httpx2.AsyncBaseTransport, **how: Any) -> AsyncIterator[Replica]:
        """One whose tasks end with the block."""
        replica: Replica | None = None
        try:
            async with anyio.create_task_group() as tasks:
                how = {"space": self.space, **how}
                replica = Replica(self.server.url, inner, tasks, **how)
                tasks.start_soon(replica.link.run)
                yield replica
                tasks.cancel_scope.cancel()
        finally:
            # Flights that end with their tasks still tell the others.
            with anyio.CancelScope(shield=True):
                await replica.shared.aclose() if replica else None

    async def keys(self, part: str = "") -> list[str]:
        """The keys of the space."""
        server = RedisServer(self.server.url)
        found = await server.client.keys(f"mmflow:wire:*{self.space}:{part}*")
        await server.close()
        return sorted(name.decode() for name in found)


@asynccontextmanager
async def fleet(server: RedisProcess) -> AsyncIterator[Fleet]:
    """A fleet that ends with the block."""
    async with AsyncExitStack() as stack:
        yield Fleet(server, stack)


async def until(
    holds: Callable[[], Awaitable[bool]] | Callable[[], bool], seconds: float = SOON
) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + seconds
    while True:
        found = holds()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        assert time.monotonic() < ends, "it did not happen"
        await anyio.sleep(0.01)


def sent(answer: Callable[[httpx2.Request], Awaitable[httpx2.Response]]) -> Scripted:
    """A venue whose requests are marked as sent, as the judge does."""

    async def send(asked: httpx2.Request) -> httpx2.Response:
        asked.extensions["sent_at"] = time.monotonic()
        return await answer(asked)

    return Scripted(send)


def venue(seconds: float = 0.05) -> Scripted:
    """One venue for all replicas: answers 1, 2, 3 ..., each after some seconds."""
    numbers = itertools.count(1)

    async def answer(_: httpx2.Request) -> httpx2.Response:
        number = next(numbers)
        await anyio.sleep(seconds)
        return judged(number)

    return sent(answer)


class Held:
    """A venue that answers when it is let: `asked` counts, `open` lets all through."""

    def __init__(self, outcome: Callable[[], httpx2.Response] | None = None) -> None:
        self.open = anyio.Event()
        self._outcome = outcome or (lambda: judged("let"))
        self.inner = sent(self._answer)

    async def _answer(self, _: httpx2.Request) -> httpx2.Response:
        await self.open.wait()
        return self._outcome()

    @property
    def asked(self) -> int:
        """How often it was asked."""
        return len(self.inner.asked)
