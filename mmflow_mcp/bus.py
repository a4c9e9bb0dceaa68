"""The notification bus: who publishes does not know who listens.

A notice is a resource URI whose content has changed; the MCP face tells its subscribers, and
other faces may listen too. Notices of one URI are coalesced to at most one a second.
"""

from collections.abc import Callable

from mmflow_mcp.clock import Clock

SECONDS_BETWEEN = 1.0


class Bus:
    """Publishes that a resource has changed. Listeners are called at once and must not block."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listeners: list[Callable[[str], None]] = []
        self._last: dict[str, float] = {}

    def listen(self, told: Callable[[str], None]) -> Callable[[], None]:
        """Call `told(uri)` for every notice; the returned function stops it."""
        self._listeners.append(told)
        return lambda: self._listeners.remove(told)

    def publish(self, uri: str) -> bool:
        """Tell the listeners, unless they were told of this URI within the last second."""
        now = self._clock.monotonic()
        last = self._last.get(uri)
        if last is not None and now - last < SECONDS_BETWEEN:
            return False
        self._last[uri] = now
        for told in tuple(self._listeners):
            told(uri)
        return True
