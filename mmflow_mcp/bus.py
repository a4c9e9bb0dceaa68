"""The notification bus: who publishes does not know who listens.

A notice is a resource URI whose content has changed; the MCP face tells its subscribers, and
other faces may listen too. Notices of one URI are coalesced to at most one a second, and the last
of them is always told: a listener that reads when it is told ends with the newest content.
"""

import asyncio
import logging
from collections.abc import Callable

from mmflow_mcp.clock import Clock

log = logging.getLogger("mmflow_mcp")

SECONDS_BETWEEN = 1.0

# Runs a function after some seconds; False where that cannot be done.
Later = Callable[[float, Callable[[], None]], bool]


def call_later(seconds: float, function: Callable[[], None]) -> bool:
    """Run a function on the running event loop after a while; False without a loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    loop.call_later(seconds, function)
    return True


def _nowhere(uri: str) -> None:
    """There are no other replicas."""


class Bus:
    """Publishes that a resource has changed. Listeners must not block.

    `spread`: where notices go that are for every replica of a fleet, as seldom as to the listeners.
    `own`: whether this replica finds out for itself when a resource changes.
    """

    def __init__(self, clock: Clock, later: Later = call_later) -> None:
        self._clock = clock
        self._later = later
        self._listeners: list[Callable[[str], None]] = []
        self._last: dict[str, float] = {}
        self._due: set[str] = set()
        self._for_all: set[str] = set()
        self.spread: Callable[[str], None] = _nowhere
        self.own: Callable[[str], bool] = lambda _: False

    def listen(self, told: Callable[[str], None]) -> Callable[[], None]:
        """Call `told(uri)` for every notice; the returned function stops it."""
        self._listeners.append(told)

        def stop() -> None:
            if told in self._listeners:
                self._listeners.remove(told)

        return stop

    def publish(self, uri: str, *, everywhere: bool = True) -> bool:
        """Tell the listeners now (True), or, if they were told within the last second, after it.

        `everywhere`: the listeners of other replicas too.
        """
        if everywhere:
            self._for_all.add(uri)
        return self._publish(uri)

    def hear(self, uri: str) -> bool:
        """Another replica has published it: as `publish`, and told to no other."""
        return not self.own(uri) and self._publish(uri)

    def _publish(self, uri: str) -> bool:
        now = self._clock.monotonic()
        last = self._last.get(uri)
        wait = 0.0 if last is None else last + SECONDS_BETWEEN - now
        if wait <= 0:
            self._tell(uri)
            return True
        if uri not in self._due and self._later(wait, lambda: self._tell_late(uri)):
            self._due.add(uri)
        return False

    def _tell_late(self, uri: str) -> None:
        # Told meanwhile when a later notice found the second over.
        if uri in self._due:
            self._tell(uri)

    def _tell(self, uri: str) -> None:
        self._due.discard(uri)
        self._last[uri] = self._clock.monotonic()
        if uri in self._for_all:
            self._for_all.discard(uri)
            self.spread(uri)
        for told in tuple(self._listeners):
            try:
                told(uri)
            except Exception:
                # Who publishes has an answer to give, and the others listen too.
                log.exception("a listener of %s failed", uri)
