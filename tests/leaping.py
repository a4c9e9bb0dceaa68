"""A clock that leaps: simulated hours in seconds, the same each time.

Time stands while any task can run, and leaps to the next moment that somebody waits for. What is
tested must wait on the clock (`clock.sleep`).
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel

from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.faults import parse_fault
from mmflow_mcp.sim.market import Market
from mmflow_mcp.tape.hub import Hub
from mmflow_mcp.upstream.asgi import AsgiTransport
from mmflow_mcp.upstream.client import Upstream

START = 1_789_453_123_000
MARKET = Market(1)


class LeapClock:
    """A clock that is moved by `run`, never by less than `step` seconds at once."""

    def __init__(self, now_ms: int = START, step: float = 0.0) -> None:
        self.step = step
        self._start_ms = now_ms
        self._at = 0.0
        self._order = count()
        self._waiting: list[tuple[float, int, anyio.Event]] = []

    def now_ms(self) -> int:
        """The moment it has leapt to."""
        return self._start_ms + round(self._at * 1000)

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return self._at

    async def sleep(self, seconds: float) -> None:
        """Wait until it has leapt there."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        event = anyio.Event()
        heapq.heappush(self._waiting, (self._at + seconds, next(self._order), event))
        await event.wait()

    async def run(self, seconds: float) -> None:
        """Let that much time pass."""
        end = self._at + seconds
        await settle()
        while self._waiting and self._waiting[0][0] <= end:
            self._at = min(end, max(self._waiting[0][0], self._at + self.step))
            while self._waiting and self._waiting[0][0] <= self._at:
                heapq.heappop(self._waiting)[2].set()
            await settle()
        self._at = end
        await settle()


async def settle() -> None:
    """Let every other task run until it waits for something."""
    me, calm = asyncio.current_task(), 0
    while calm < 3:
        await asyncio.sleep(0)
        others = (task for task in asyncio.all_tasks() if task is not me)
        calm = calm + 1 if all(map(_waits, others)) else 0


def _waits(task: Any) -> bool:
    return task._fut_waiter is not None and not task._fut_waiter.done()


@dataclass
class Live:
    """A hub over the simulated venues, on a clock that leaps."""

    hub: Hub
    clock: LeapClock
    sim: SimApp
    upstream: Upstream

    async def run(self, seconds: float) -> None:
        """Let that much time pass."""
        await self.clock.run(seconds)

    def sockets(self, host: str, path: str = "/ws") -> int:
        """How many sockets were opened there."""
        return self.sim.requests[host, path]


@asynccontextmanager
async def live(
    *faults: str, step: float = 0.5, kind: str = "sim", **how: Any
) -> AsyncIterator[Live]:
    """A hub with its own simulated venues, faults and clock."""
    async with anyio.create_task_group() as tasks:
        clock = LeapClock(step=step)
        sim = SimApp(MARKET, clock, [parse_fault(fault) for fault in faults])
        upstream = Upstream(AsgiTransport(sim, tasks), kind=kind, clock=clock, tasks=tasks)
        hub = Hub(upstream, clock, tasks, chance=lambda: 0.5, **how)
        try:
            yield Live(hub, clock, sim, upstream)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                await hub.close()
                await upstream.aclose()
            tasks.cancel_scope.cancel()
