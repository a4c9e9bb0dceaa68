"""A fleet in one process: replicas of the tape on one Redis and one simulated market."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import anyio
import pytest
from leaping import MARKET, START

from mmflow_mcp.clock import Clock, FastClock
from mmflow_mcp.fleet import channel
from mmflow_mcp.fleet.channel import Channel
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.faults import parse_fault
from mmflow_mcp.tape import following, relay, telling
from mmflow_mcp.tape.hub import Hub
from mmflow_mcp.tape.relay import Relay
from mmflow_mcp.tape.shared import SharedFeed
from mmflow_mcp.upstream.asgi import AsgiTransport
from mmflow_mcp.upstream.client import Upstream
from mmflow_mcp.venues.hyperliquid import Hyperliquid

SPEED = 10.0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet that is quicker to believe in a death than a real one, for the sake of the suite."""
    for where, name, value in (
        (channel, "LEASE_MS", 1_500),
        # A busy machine is no server that went away: one that did refuses at once.
        (channel, "PATIENCE_SECONDS", 10.0),
        (channel, "NEED_MS", 1_200),
        (following, "SILENT_MS", 900),
        (following, "OVERLAP_SECONDS", 0.6),
        (telling, "SNAP_SECONDS", 0.3),
        (relay, "TICK_SECONDS", 0.2),
        (relay, "RETRY_SECONDS", 0.3),
    ):
        monkeypatch.setattr(where, name, value)


@pytest.fixture
def few_coins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small universe: three coins of Hyperliquid."""
    for name in ("trade_feed", "context_feed"):
        whole = getattr(Hyperliquid, name)
        few = lambda self, whole=whole: replace(whole(self), limit=3)
        monkeypatch.setattr(Hyperliquid, name, few)


async def until(true: Callable[[], Any], what: str, seconds: float = 60) -> None:
    """Wait until something is true."""
    try:
        with anyio.fail_after(seconds):
            while not true():  # noqa: ASYNC110 - what is waited for is in another process
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
    ended: anyio.Event = field(default_factory=anyio.Event)

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

    def die(self) -> None:
        """End at once, as a killed process does: nothing is told to anybody."""
        self.relay.channel._server = RedisServer("redis://127.0.0.1:9/0")
        self.tasks.cancel_scope.cancel()

    def stop(self) -> None:
        """End as a process does that is asked to."""
        self.tasks.cancel_scope.cancel()


@dataclass
class FleetOf:
    """Replicas, their market and their clock."""

    url: str
    sim: SimApp
    clock: Clock
    kind: str
    tasks: Any
    replicas: list[Replica] = field(default_factory=list)

    async def add(self) -> Replica:
        """One more."""
        made: Replica = await self.tasks.start(self._run)
        self.replicas.append(made)
        return made

    async def _run(self, *, task_status: Any) -> None:
        server = RedisServer(self.url)
        ended = anyio.Event()
        kept = Relay(Channel(server, self.kind, uuid4().hex[:12]), self.clock)
        try:
            async with anyio.create_task_group() as tasks:
                wire = AsgiTransport(self.sim, tasks)
                upstream = Upstream(wire, kind="sim", clock=self.clock, tasks=tasks)
                hub = Hub(upstream, self.clock, tasks, chance=lambda: 0.5, relay=kept)
                tasks.start_soon(kept.run)
                task_status.started(Replica(hub, kept, server, tasks, ended))
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                await server.close()
            ended.set()

    def roles(self, *where: str) -> list[str]:
        """What the replicas are to a feed, sorted."""
        return sorted(one.role(*where) for one in self.replicas)


@asynccontextmanager
async def fleet(url: str, size: int, *faults: str, speed: float = SPEED) -> AsyncIterator[FleetOf]:
    """A fleet of so many replicas, whose keys are their own."""
    clock = FastClock(START, speed)
    sim = SimApp(MARKET, clock, [parse_fault(fault) for fault in faults])
    async with anyio.create_task_group() as tasks:
        made = FleetOf(url, sim, clock, f"fleet-{uuid4().hex[:8]}", tasks)
        for _ in range(size):
            await made.add()
        yield made
        tasks.cancel_scope.cancel()
