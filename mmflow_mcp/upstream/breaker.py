"""A circuit breaker per host: a venue that is down is not asked again at once.

Three failures in a row open it for ten seconds, doubling up to two minutes; then one request
tries again. A location block is remembered for six hours, a rate limit for as long as the venue
said.
"""

from dataclasses import dataclass

import anyio
import httpx2

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import VenueBlocked, VenueError, VenueRateLimited, VenueTimeout

FAILURES_TO_OPEN = 3
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 120.0
BLOCK_PAUSE = 6 * 3600.0
RATE_PAUSE = 2.0
# A request given up by its askers after this long counts as a failure of the venue.
SLOW = 3.0


@dataclass(slots=True)
class _State:
    failures: int = 0
    pause: float = FIRST_PAUSE
    open_until: float = 0.0
    error: VenueError | None = None


class BreakerTransport(httpx2.AsyncBaseTransport):
    """Refuses at once while a host is known to be down."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._states: dict[str, _State] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass the request on, or raise what the host last failed with."""
        state = self._states.setdefault(request.url.host, _State())
        started = self._clock.monotonic()
        if state.error is not None and started < state.open_until:
            raise state.error.fresh()
        try:
            response = await self._inner.handle_async_request(request)
        except VenueError as error:
            self._failed(state, error)
            raise
        except anyio.get_cancelled_exc_class():
            if self._clock.monotonic() - started >= SLOW:
                self._failed(state, VenueTimeout("timeout: the venue has been slow repeatedly"))
            raise
        state.failures, state.pause, state.error = 0, FIRST_PAUSE, None
        return response

    def _failed(self, state: _State, error: VenueError) -> None:
        now = self._clock.monotonic()
        if isinstance(error, VenueBlocked):
            state.error, state.open_until = error, now + BLOCK_PAUSE
        elif isinstance(error, VenueRateLimited):
            state.error, state.open_until = error, now + (error.retry_after or RATE_PAUSE)
        elif error.retryable:
            state.failures += 1
            if state.failures >= FAILURES_TO_OPEN:
                state.error, state.open_until = error, now + state.pause
                state.pause = min(state.pause * 2, LONGEST_PAUSE)

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()
