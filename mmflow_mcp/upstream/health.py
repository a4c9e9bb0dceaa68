"""The venue health ledger: what every venue last did, for `doctor`, pages and resources."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import VenueBlocked, VenueChanged, VenueError

SLOW_MS = 2_000
# So many requests are remembered one by one.
RECENT = 60


@dataclass(slots=True)
class Health:
    """One venue as it was last seen. `state`: unknown, ok, slow, blocked, changed or failing.

    `reason`: why it is not well now, `last_reason` what it last failed with, whether or not it has
    recovered. `recent`: milliseconds of the last requests, oldest first; None for one that failed.
    """

    venue: str
    state: str = "unknown"
    last_ok: int | None = None
    last_error: int | None = None
    reason: str | None = None
    latency_ms: float | None = None
    requests: int = 0
    failures: int = 0
    last_reason: str | None = None
    recent: deque[float | None] = field(default_factory=lambda: deque(maxlen=RECENT))


class HealthLedger:
    """Notes every answer and failure; tells listeners when a venue's state changes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._venues: dict[str, Health] = {}
        self._listeners: list[Callable[[Health], None]] = []

    def listen(self, told: Callable[[Health], None]) -> None:
        """Call `told` whenever a venue's state changes."""
        self._listeners.append(told)

    def of(self, venue: str) -> Health:
        """What is known of one venue."""
        return self._venues.get(venue) or Health(venue)

    def all(self) -> list[Health]:
        """Every venue that was asked so far, by id."""
        return [self._venues[key] for key in sorted(self._venues)]

    def answered(self, venue: str, seconds: float) -> None:
        """A request was answered after this long."""
        health = self._venues.setdefault(venue, Health(venue))
        health.requests += 1
        health.last_ok = self._clock.now_ms()
        ms = seconds * 1000
        health.recent.append(ms)
        # A moving average, so that one slow answer does not paint a venue slow.
        health.latency_ms = ms if health.latency_ms is None else 0.7 * health.latency_ms + 0.3 * ms
        self._turn(health, "slow" if health.latency_ms > SLOW_MS else "ok", None)

    def failed(self, venue: str, error: VenueError) -> None:
        """A request failed."""
        health = self._venues.setdefault(venue, Health(venue))
        health.requests += 1
        health.failures += 1
        health.last_error = self._clock.now_ms()
        health.last_reason = error.reason
        health.recent.append(None)
        state = "failing"
        if isinstance(error, VenueBlocked):
            state = "blocked"
        elif isinstance(error, VenueChanged):
            state = "changed"
        self._turn(health, state, error.reason)

    def _turn(self, health: Health, state: str, reason: str | None) -> None:
        health.reason = reason
        if health.state != state:
            health.state = state
            for told in self._listeners:
                told(health)
