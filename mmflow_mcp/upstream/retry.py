"""Try again, where that is safe and there is time.

Everything this server sends is a read, so a broken connection or a 5xx may be asked again: at
most twice, after a short jittered pause. Retry-After is obeyed: when it does not fit before the
question's deadline, or the venue's published rate leaves no room, the failure stands.
"""

import random
from collections.abc import Awaitable, Callable

import anyio
import httpx2

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import VenueError, VenueRateLimited, VenueTimeout
from mmflow_mcp.upstream.budget import OverBudget
from mmflow_mcp.upstream.wire import ROOM, time_left

ATTEMPTS = 3
FIRST_PAUSE = 0.1
# In a request's extensions: which attempt it is, from 1.
ATTEMPT = "attempt"


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
        attempt = 1
        failed: VenueError | None = None
        while True:
            request.extensions[ATTEMPT] = attempt
            try:
                return await self._inner.handle_async_request(request)
            except OverBudget:
                if failed is None:
                    raise
                # There is no room to ask again: what the venue did is the reason to tell.
                raise failed from None
            except VenueError as error:
                failed, pause = error, self._pause(error, attempt)
                if pause is None or pause + ROOM > time_left(request, self._clock):
                    raise
            await self._sleep(pause)
            attempt += 1

    def _pause(self, error: VenueError, attempt: int) -> float | None:
        """Seconds to wait before the next attempt, or None when there is none."""
        if attempt == ATTEMPTS or not error.retryable or isinstance(error, VenueTimeout):
            return None
        pause = float(FIRST_PAUSE * 2 ** (attempt - 1) * (1 + self._jitter()))
        if not isinstance(error, VenueRateLimited):
            return pause
        # Without Retry-After a venue's limit is best left alone: the breaker pauses it. With it,
        # the jitter comes on top, so that those who were told the same do not return together.
        return None if error.retry_after is None else error.retry_after + pause

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()
