"""Finished results, for as long as every wire they were made of is fresh.

The cache is at the wire; this only spares writing the same answer again. A result is kept until
the first of its wires ages past what its call allows, and not at all when anything failed.
"""

from collections.abc import Callable, Hashable
from typing import Any

from cachetools import LRUCache

from mmflow_mcp.clock import Clock

MOST = 64


class Remembered:
    """At most 64 results by question; the least recently asked leave first.

    `most` and `size` bound it otherwise: the sizes of what is kept add up to `most` at most.
    """

    def __init__(
        self, clock: Clock, *, most: int = MOST, size: Callable[[Any], int] | None = None
    ) -> None:
        self._clock = clock
        self._most = most
        self._size = size or (lambda _: 1)
        self._results: LRUCache[Hashable, tuple[float, Any]] = LRUCache(
            most, getsizeof=lambda kept: self._size(kept[1])
        )

    def get(self, question: Hashable) -> Any | None:
        """The result, if it still holds."""
        known = self._results.get(question)
        return known[1] if known is not None and self._clock.monotonic() <= known[0] else None

    def keep(self, question: Hashable, result: Any, until: float) -> None:
        """Keep a result until that monotonic time."""
        if until > self._clock.monotonic() and self._size(result) <= self._most:
            self._results[question] = (until, result)

    def clear(self) -> None:
        """Forget everything."""
        self._results.clear()
