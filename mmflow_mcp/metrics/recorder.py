"""The recorder: samples every declared metric on its grid, in one process of however many.

A cell that was missed is a gap and stays one. Who holds the lease samples; the others wait for it.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import anyio

from mmflow_mcp.core.core import Core
from mmflow_mcp.errors import MmflowError, StoreError
from mmflow_mcp.fleet.lease import Lease
from mmflow_mcp.metrics.declare import FULL, LEVELS, Sample, Sampling, samplings
from mmflow_mcp.series.store import Batch, Point, SeriesKey, cell

log = logging.getLogger("mmflow_mcp")

# A little after the boundary: what venues publish on the minute is there by then.
OFFSET_MS = 5_000
# A lease lives so long without being renewed, and is renewed thrice in that time.
LEASE_MS = 45_000
_TURN_SECONDS = 15.0
_HOUR_MS = 3_600_000


@dataclass(slots=True)
class Health:
    """How the recorder is doing. `last`: sampling -> the cell it last wrote, epoch ms.

    `missed`: sampling -> cells that were left out between two that this process wrote in one turn
    as the one that records.
    """

    level: str
    leading: bool = False
    last: dict[str, int] = field(default_factory=dict)
    stored: int = 0
    refused: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)


class Recorder:
    """Samples until it is cancelled. `sleep` and the clock of the core may be held by a test."""

    def __init__(
        self,
        core: Core,
        level: str,
        lease: Lease,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._core = core
        self._lease = lease
        self._sleep = sleep
        self._due: dict[str, int] = {}
        self._pruned = 0
        # The last cell of each sampling since this process began to lead.
        self._line: dict[str, int] = {}
        self.health = Health(level)
        rank = LEVELS.index(level)
        self.samplings = [s for s in samplings().values() if LEVELS.index(s.level) <= rank]

    async def run(self) -> None:
        """Sample on time for as long as this is not cancelled; the lease is given back then."""
        try:
            while True:
                if await self._leads():
                    await self.turn()
                else:
                    self._line.clear()
                    await self._catch_up()
                await self._sleep(self._pause())
        finally:
            # What cannot be given back now ends by itself.
            with anyio.CancelScope(shield=True), anyio.move_on_after(2), suppress(StoreError):
                await self._lease.release()

    async def _leads(self) -> bool:
        held = self._lease.renew if self.health.leading else self._lease.acquire
        try:
            self.health.leading = await held()
        except MmflowError as error:
            # Nobody can tell who records: samples written twice do no harm, missing ones do.
            self.health.failures["lease"] = str(error)
            self.health.leading = True
        else:
            self.health.failures.pop("lease", None)
            if not self.health.leading:
                # What failed here is another process's to do now.
                self.health.failures.clear()
        return self.health.leading

    async def _catch_up(self) -> None:
        """Who stands by writes no samples, but may hold some of when nobody could tell."""
        store = self._core.archive.store
        if store is not None and getattr(store, "away", False):
            with suppress(StoreError):
                await store.write([])

    async def turn(self) -> None:
        """Sample what is due now."""
        now = self._core.clock.now_ms()
        due = [s for s in self.samplings if self._is_due(s, now)]
        async with anyio.create_task_group() as tasks:
            for one in due:
                tasks.start_soon(self.sample, one, cell(now, one.every_ms))
        if now - self._pruned >= _HOUR_MS:
            await self._prune(now)

    async def _prune(self, now: int) -> None:
        """Remove what is past the retention; while the store is away, it is tried again later."""
        store = self._core.archive.store
        if store is None:
            return
        try:
            await store.prune(now)
        except StoreError as error:
            self.health.failures["prune"] = str(error)
            return
        self._pruned = now
        self.health.failures.pop("prune", None)

    def _is_due(self, one: Sampling, now: int) -> bool:
        at = cell(now, one.every_ms)
        if now - at < OFFSET_MS or self._due.get(one.name, -1) >= at:
            return False
        self._due[one.name] = at
        return True

    async def sample(self, one: Sampling, at_ms: int) -> None:
        """Read one sampling into its cell; a failure is told and leaves a gap."""
        store = self._core.archive.store
        if store is None:
            return
        try:
            samples = await one.read(self._core, self.health.level)
            written = await store.write(batches_of(samples, at_ms, one.every_ms))
        except MmflowError as error:
            self.health.failures[one.name] = str(error)
            said = {"sampling": one.name}
            log.warning("%s could not be recorded: %s", one.name, error, extra=said)
            return
        self.health.failures.pop(one.name, None)
        self._count_missed(one, at_ms)
        self.health.last[one.name] = at_ms
        self.health.stored += written.stored
        self.health.refused += written.refused
        for uri in sorted(_changed(one, samples)):
            self._core.bus.publish(uri)

    def _count_missed(self, one: Sampling, at_ms: int) -> None:
        """Cells between the last one written and this; another process may have led before."""
        before = self._line.get(one.name)
        self._line[one.name] = at_ms
        if before is not None:
            missed = (at_ms - before) // one.every_ms - 1
            self.health.missed[one.name] = self.health.missed.get(one.name, 0) + max(0, missed)

    def _pause(self) -> float:
        """Seconds to the next moment at which something is due, or the lease wants renewing."""
        now = self._core.clock.now_ms()
        next_ms = min(
            (cell(now, s.every_ms) + OFFSET_MS + s.every_ms * (now % s.every_ms >= OFFSET_MS))
            for s in self.samplings
        )
        return max(0.05, min(_TURN_SECONDS, (next_ms - now) / 1000))


def _changed(one: Sampling, samples: Iterable[Sample]) -> set[str]:
    """The resources that have new points."""
    return {
        one.uri.format(coin=s.key.coin, metric=s.key.metric.rpartition(":")[2])
        for s in samples
        if s.v is not None
    }


def batches_of(samples: Iterable[Sample], at_ms: int, every_ms: int) -> list[Batch]:
    """Samples of one cell as batches, a series once."""
    points: dict[SeriesKey, Point] = {s.key: Point(at_ms, s.v, s.extra) for s in samples}
    return [Batch(key, every_ms, [point]) for key, point in points.items()]


def level_of(recorder: Recorder | None) -> str:
    """What is recorded here, in a word."""
    return recorder.health.level if recorder is not None else "off"


__all__ = ["FULL", "Health", "Recorder", "batches_of", "level_of"]
