"""Finished results, for as long as every wire they were made of is fresh.

The cache is at the wire; this only spares writing the same answer again. A result is kept until
the first of its wires ages past what its call allows, and not at all when anything failed.
"""

from collections.abc import Hashable
from typing import Any

from cachetools import LRUCache

from mmflow_mcp.clock import Clock

MOST = 64


class Remembered:
    """At most 64 results by question; the least recently asked leave first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._results: LRUCache[Hashable, tuple[float, Any]] = LRUCache(MOST)

    def get(self, question: Hashable) -> Any | None:
        """The result, if it still holds."""
        known = self._results.get(question)
        return known[1] if known is not None and self._clock.monotonic() <= known[0] else None

    def keep(self, question: Hashable, result: Any, until: float) -> None:
        """Keep a result until that monotonic time."""
        if until > self._clock.monotonic():
            self._results[question] = (until, result)
