"""Time, in one place, so that a test or a replay can hold it.

All public times in this project are integer epoch milliseconds UTC.
"""

import time
from typing import Protocol

import anyio

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Clock(Protocol):
    """What the rest of the house may ask about time."""

    def now_ms(self) -> int:
        """Wall time, epoch milliseconds UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many of this clock's seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Wall time, epoch milliseconds UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)


class FixedClock:
    """A clock that stands until it is moved: for tests, and for `--now`."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._monotonic = 0.0

    def now_ms(self) -> int:
        """The time this clock was set to."""
        return self._now_ms

    def monotonic(self) -> float:
        """Seconds this clock was moved on since it was made."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Wait as the machine does: this clock is moved by hand."""
        await anyio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Move both the wall time and the monotonic time on."""
        self._now_ms += round(seconds * 1000)
        self._monotonic += seconds


class FastClock:
    """A clock that runs `speed` times as fast as the machine's, from a given moment."""

    def __init__(self, now_ms: int, speed: float) -> None:
        self.speed = speed
        self._start_ms = now_ms
        self._began = time.monotonic()

    def now_ms(self) -> int:
        """The moment it has run to."""
        return self._start_ms + round(self.monotonic() * 1000)

    def monotonic(self) -> float:
        """Its own seconds since it was made."""
        return (time.monotonic() - self._began) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait that many of its own seconds."""
        await anyio.sleep(seconds / self.speed)


class PinnedClock(SystemClock):
    """The wall stands at a given moment (`--now`); durations are still measured."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """The pinned moment."""
        return self._now_ms
