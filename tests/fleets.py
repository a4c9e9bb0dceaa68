"""A fleet in one process: replicas of the tape on one Redis and one simulated market."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import anyio
from leaping import MARKET, START

from mmflow_mcp.clock import Clock, FastClock
from mmflow_mcp.fleet.channel import Channel
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.faults import parse_fault
from mmflow_mcp.tape.hub import Hub
from mmflow_mcp.tape.relay import Relay
from mmflow_mcp.tape.shared import SharedFeed
from mmflow_mcp.upstream.asgi import AsgiTransport
from mmflow_mcp.upstream.client import Upstream

SPEED = 5.0


async def until(true: Callable[[], Any], what: str, seconds: float = 30) -> None:
    """Wait until something is true."""
    try:
        with anyio.fail_after(seconds):
            while not true():
                await anyio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(what) from None


@dataclass
class Replica:
    """One process of a fleet, as far as the tape goes."""

    hub: Hub
    relay: Relay
    server: RedisServer
    tasks: Any

    def role(self, venue: str = "hyperliquid", channel: str = "trades") -> str:
        """What it is to a feed."""
        feed = self.hub.feed(venue, channel)
        return feed.role if isinstance(feed, SharedFeed) else "none"

    def sockets(self, venue: str = "hyperliquid", channel: str = "trades") -> int:
        """How many sockets it has opened for a feed."""
        feed = self.hub.feed(venue, channel)
        return feed.state.connections if feed is not None else 0

    def open(self, venue: str = "hyperliquid", channel: str = "trades") -> bool:
        """Whether a socket of its own is open now."""
        feed = self.hub.feed(venue, channel)
        return feed is not None and feed.holds_socket

    async def die(self) -> None:
        """End at once, as a killed process does: nothing is told to anybody."""
        await self.server.close()
        self.relay.channel._server = RedisServer("redis://127.0.0.1:9/0")
        self.tasks.cancel_scope.cancel()


@dataclass
class FleetOf:
    """Replicas, their market and their clock."""

    url: str
    sim: SimApp
    clock: Clock
    kind: str
    replicas: list[Replica] = field(default_factory=list)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def add(self) -> Replica:
        """One more."""
        tasks = await self.stack.enter_async_context(anyio.create_task_group())
        server = RedisServer(self.url)
        upstream = Upstream(AsgiTransport(self.sim, tasks), kind="sim", clock=self.clock, tasks=tasks)
        relay = Relay(Channel(server, self.kind, uuid4().hex[:12]), self.clock)
        hub = Hub(upstream, self.clock, tasks, chance=lambda: 0.5, relay=relay)
        tasks.start_soon(relay.run)
        made = Replica(hub, relay, server, tasks)
        self.replicas.append(made)
        self.stack.push_async_callback(self._end, made)
        return made

    async def _end(self, one: Replica) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            one.tasks.cancel_scope.cancel()
            await one.hub.close()
            await one.server.close()

    def roles(self, *where: str) -> list[str]:
        """What the replicas are to a feed, sorted."""
        return sorted(one.role(*where) for one in self.replicas)


@asynccontextmanager
async def fleet(url: str, size: int, *faults: str, speed: float = SPEED) -> AsyncIterator[FleetOf]:
    """A fleet of so many replicas, whose keys are their own."""
    clock = FastClock(START, speed)
    sim = SimApp(MARKET, clock, [parse_fault(fault) for fault in faults])
    made = FleetOf(url, sim, clock, f"fleet-{uuid4().hex[:8]}")
    async with made.stack:
        for _ in range(size):
            await made.add()
        yield made
