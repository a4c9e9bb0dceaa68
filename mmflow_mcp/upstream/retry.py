"""Try again, where that is safe and there is time.

Everything this server sends is a read, so a broken connection or a 5xx may be asked again: at
most twice, after a short jittered pause. Retry-After is obeyed: when it does not fit before the
question's deadline, the failure stands.
"""

import random
from collections.abc import Awaitable, Callable

import anyio
import httpx2

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import VenueError, VenueRateLimited, VenueTimeout

ATTEMPTS = 3
FIRST_PAUSE = 0.1


class RetryTransport(httpx2.AsyncBaseTransport):
    """Repeats a failed read; `extensions["deadline"]` is a monotonic time of the clock."""

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask until it answers, the failure is final, or the time is used up."""
        deadline = request.extensions.get("deadline")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._inner.handle_async_request(request)
            except VenueError as error:
                pause = self._pause(error, attempt)
                left = None if deadline is None else deadline - self._clock.monotonic()
                if pause is None or (left is not None and pause >= left):
                    raise
            await self._sleep(pause)
        msg = "the loop above returns or raises"
        raise AssertionError(msg)

    def _pause(self, error: VenueError, attempt: int) -> float | None:
        """Seconds to wait before the next attempt, or None when there is none."""
        if attempt == ATTEMPTS or not error.retryable or isinstance(error, VenueTimeout):
            return None
        if isinstance(error, VenueRateLimited):
            # Without Retry-After a venue's limit is best left alone: the breaker pauses it.
            return error.retry_after
        return float(FIRST_PAUSE * 2 ** (attempt - 1) * (1 + self._jitter()))

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()
