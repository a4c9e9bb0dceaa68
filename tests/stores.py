"""The history stores as tests use them: each sort on a clean place, over a clock that stands."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from servers import RedisProcess

from mmflow_mcp.clock import Clock, FixedClock
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.series.memory import MemoryStore
from mmflow_mcp.series.redis import RedisStore
from mmflow_mcp.series.sqlite import SqliteStore
from mmflow_mcp.series.store import Batch, Point, SeriesKey, SeriesStore

# A cell of ten minutes, an hour after midnight UTC.
NOW = 1_789_434_000_000
STEP = 600_000
OI = SeriesKey("oi", "hl", "BTC", "sampled")
FUNDING = SeriesKey("funding", "binance", "ETH", "predicted")
SETTLED = SeriesKey("funding", "bitmex", "BTC", "settled")
PRESSURE = SeriesKey("flow:flowPressureScore", "all", "BTC", "sampled")

_worlds = count(1)


class Place:
    """Where stores of one sort lie: opened twice, they are two processes at one store."""

    def __init__(self, sort: str, folder: Path, server: RedisProcess | None) -> None:
        self.sort = sort
        self.clock = FixedClock(NOW)
        self.path = folder / "history.sqlite"
        self.told: list[str] = []
        self._server = server
        # Of a server that all tests share, everyone has a corner of their own.
        self._corner = f"live-{next(_worlds)}"
        self._opened: list[SeriesStore] = []

    def open(self, *, clock: Clock | None = None, **how: Any) -> SeriesStore:
        """A store at this place."""
        clock = clock or self.clock
        store: SeriesStore
        if self.sort == "memory":
            store = MemoryStore(clock=clock, **how)
        elif self.sort == "sqlite":
            store = SqliteStore(self.path, kind="live", clock=clock, report=self.told.append, **how)
        else:
            assert self._server is not None
            server = RedisServer(self._server.url)
            store = RedisStore(server, kind=self._corner, clock=clock, **how)
        self._opened.append(store)
        return store

    async def close(self) -> None:
        """Close every store that was opened."""
        for store in self._opened:
            await store.close()


@asynccontextmanager
async def closing(store: SeriesStore) -> AsyncIterator[SeriesStore]:
    """A store that is closed with the block."""
    try:
        yield store
    finally:
        await store.close()


def sampled(values: Iterable[float | None], *, until: int = NOW, step: int = STEP) -> list[Point]:
    """Points a step apart, the last of them at `until`."""
    held = list(values)
    first = until - (len(held) - 1) * step
    return [Point(first + i * step, v) for i, v in enumerate(held)]


def batch(points: Sequence[Point], key: SeriesKey = OI, cadence: int = STEP) -> Batch:
    """A batch of one series."""
    return Batch(key, cadence, points)
