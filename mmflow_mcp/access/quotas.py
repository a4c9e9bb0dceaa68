"""How much one caller may ask in a minute: pure arithmetic, and the callers of one process.

A sliding window, counted in slots of five seconds. A token bucket would be one number less, but
"60 a minute" would then let 119 through in the first minute, and the promise is a number; a fixed
window lets twice the number through around its edge. Here no 60 seconds ever hold more than the
limit, whatever the moment; the price is that a place comes back up to five seconds late.
"""

import math
from collections import OrderedDict
from typing import NamedTuple, Protocol

from mmflow_mcp.clock import Clock

SLOT_SECONDS = 5
# The running slot, and the twelve before it that may reach into the last minute.
SLOTS = 13
CALLERS = 10_000


class Verdict(NamedTuple):
    """Whether a question is within the limit. Seconds from now, rounded up.

    `retry_after`: when the next one is (0 when that is now); `whole_in`: when all places are free.
    """

    allowed: bool
    limit: int
    remaining: int
    retry_after: int
    whole_in: int


class Quotas(Protocol):
    """Counts questions by caller."""

    away: bool

    async def take(self, caller: str, limit: int) -> Verdict:
        """Count one question of a caller, unless `limit` (above 0) in a minute are used up."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Window:
    """The questions of one caller in the last minute. Times are seconds that never step back."""

    __slots__ = ("_slots", "_total")

    def __init__(self) -> None:
        # Slot and count, oldest first. A deque would be four times the size.
        self._slots: list[list[int]] = []
        self._total = 0

    def take(self, now: float, limit: int) -> Verdict:
        """Count one question if the limit allows it."""
        slot = self._forget(now)
        if self._total >= limit:
            return Verdict(False, limit, 0, self._freed(now, limit), self._whole(now))
        self._count(slot)
        left = limit - self._total
        return Verdict(True, limit, left, 0 if left else self._freed(now, limit), self._whole(now))

    def note(self, now: float) -> None:
        """Count one question that somebody else allowed."""
        self._count(self._forget(now))

    def _count(self, slot: int) -> None:
        if self._slots and self._slots[-1][0] == slot:
            self._slots[-1][1] += 1
        else:
            self._slots.append([slot, 1])
        self._total += 1

    def _forget(self, now: float) -> int:
        slot = int(now // SLOT_SECONDS)
        while self._slots and self._slots[0][0] <= slot - SLOTS:
            self._total -= self._slots.pop(0)[1]
        return slot

    def _freed(self, now: float, limit: int) -> int:
        """Seconds until so many slots have left that one more question fits."""
        left = self._total
        for slot, count in self._slots:
            left -= count
            if left < limit:
                return _until(slot, now)
        return 0

    def _whole(self, now: float) -> int:
        return _until(self._slots[-1][0], now) if self._slots else 0


def _until(slot: int, now: float) -> int:
    """Seconds until a slot is forgotten, at least one."""
    return max(1, math.ceil((slot + SLOTS) * SLOT_SECONDS - now))


class OwnQuotas:
    """The callers of one process, the `callers` latest of them: memory is bounded.

    Someone who comes with ever new addresses only makes others be forgotten, who then have their
    whole allowance again: nobody is locked out by it.
    """

    away = False

    def __init__(self, clock: Clock, callers: int = CALLERS) -> None:
        self._clock = clock
        self._callers = callers
        self._windows: OrderedDict[str, Window] = OrderedDict()

    async def take(self, caller: str, limit: int) -> Verdict:
        """Count one question; see `Quotas`."""
        return self.window(caller).take(self._clock.monotonic(), limit)

    async def close(self) -> None:
        """Nothing is open."""

    def window(self, caller: str) -> Window:
        """The window of a caller, who is the latest now."""
        window = self._windows.get(caller)
        if window is None:
            window = self._windows[caller] = Window()
            if len(self._windows) > self._callers:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(caller)
        return window

    def note(self, caller: str) -> None:
        """Count one question that the fleet allowed."""
        self.window(caller).note(self._clock.monotonic())
