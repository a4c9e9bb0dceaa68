"""A circuit breaker per host: a venue that is down is not asked again at once.

Three failures in a row open it for ten seconds, doubling up to two minutes; then one request at a
time tries again while the others are refused. A location block is remembered for six hours, any
other block for ten minutes and then twice as long each time, a rate limit for as long as the
venue said.
"""

import math
from dataclasses import dataclass

import anyio
import httpx2

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import (
    VenueBlocked,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
    VenueTimeout,
)
from mmflow_mcp.upstream.wire import Call

FAILURES_TO_OPEN = 3
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 120.0
GEO_PAUSE = 6 * 3600.0
# A 403 may be a location block or a firewall that lets go after some minutes.
BLOCK_PAUSE = 600.0
RATE_PAUSE = 2.0
# A request given up by its askers after this long counts as a failure of the venue.
SLOW = 3.0


@dataclass(slots=True)
class _State:
    """What is known of one host. `error` is why it is not asked, None while it is.

    `turn` counts the openings, so that an answer can be told to be older than the last one, which
    was at `opened`.
    """

    failures: int = 0
    pause: float = FIRST_PAUSE
    limits: int = 0
    blocks: int = 0
    turn: int = 0
    opened: float = -math.inf
    open_until: float = 0.0
    error: VenueError | None = None
    probing: bool = False

    def open(self, error: VenueError, now: float, pause: float) -> None:
        """Refuse from now on for a pause. What is already refused for longer stays so."""
        until = now + pause
        if self.error is None or until > self.open_until:
            self.error, self.open_until = error, until
        self.turn += 1
        self.opened = now

    def close(self) -> None:
        """The host answers: forget its failures."""
        self.failures = self.limits = self.blocks = 0
        self.pause, self.error = FIRST_PAUSE, None


@dataclass(frozen=True, slots=True)
class Refused:
    """A host that is left alone: why, and for how many seconds more.

    0 seconds: the next request tries it again, or one is trying.
    """

    host: str
    reason: str
    seconds: float


class BreakerTransport(httpx2.AsyncBaseTransport):
    """Refuses at once while a host is known to be down. Sockets pass through."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._states: dict[str, _State] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass the request on, or raise what the host last failed with."""
        if not isinstance(request.extensions.get("call"), Call):
            return await self._inner.handle_async_request(request)
        state = self._states.setdefault(request.url.host, _State())
        probe = self._admit(state)
        turn = state.turn
        try:
            response = await self._inner.handle_async_request(request)
        except VenueError as error:
            self._failed(state, error, turn)
            raise
        except anyio.get_cancelled_exc_class():
            # Counted from the sending: the time spent waiting for our own budget is ours.
            sent = request.extensions.get("sent_at")
            if sent is not None and self._clock.monotonic() - sent >= SLOW:
                slow = VenueTimeout("timeout: the venue has been slow repeatedly")
                self._failed(state, slow, turn)
            raise
        finally:
            if probe:
                state.probing = False
        self._answered(state, turn)
        return response

    def refused(self) -> list[Refused]:
        """The hosts that are left alone now, by name."""
        now = self._clock.monotonic()
        found = []
        for host, state in sorted(self._states.items()):
            left = max(0.0, state.open_until - now)
            # After a rate limit everyone may ask again at once.
            over = left == 0.0 and isinstance(state.error, VenueRateLimited)
            if state.error is not None and not over:
                found.append(Refused(host, state.error.reason, left))
        return found

    def learn(self, host: str, error: VenueError, seconds: float) -> None:
        """Take in what a host answered to another replica, which had asked so many seconds ago.

        Only its own words count, a status that says it fails or a limit: that it could not be
        reached from there, or does not serve that place, says nothing of here.
        """
        if isinstance(error, VenueHttp) and _is_failure(error):
            state = self._states.setdefault(host, _State())
            older = self._clock.monotonic() - seconds < state.opened
            self._failed(state, error, state.turn - older)

    def _admit(self, state: _State) -> bool:
        """Whether this request is the one that tries a failed host again; raises while open."""
        if state.error is None:
            return False
        left = state.open_until - self._clock.monotonic()
        if left > 0 or state.probing:
            error = state.error.fresh()
            if isinstance(error, VenueRateLimited):
                error.retry_after = max(0.0, left)
            raise error
        if isinstance(state.error, VenueRateLimited):
            # The venue said when to come back: no need to send one ahead.
            state.error = None
            return False
        state.probing = True
        return True

    def _answered(self, state: _State, turn: int) -> None:
        # An answer to what was asked before the host failed says nothing about now.
        if turn == state.turn:
            state.close()

    def _failed(self, state: _State, error: VenueError, turn: int) -> None:
        now = self._clock.monotonic()
        # What was under way when the host was found failing is no further failure of it.
        first = turn == state.turn
        if isinstance(error, VenueBlocked):
            state.open(error, now, _block_pause(error, state.blocks))
            state.blocks += first
        elif isinstance(error, VenueRateLimited):
            state.open(error, now, error.retry_after or _rate_pause(error, state.limits))
            state.limits += first
        elif _is_failure(error):
            state.failures += first
            # A host that fails when it is tried again is left alone after that one failure.
            if first and (state.failures >= FAILURES_TO_OPEN or state.error is not None):
                state.open(error, now, state.pause)
                state.pause = min(state.pause * 2, LONGEST_PAUSE)
        elif isinstance(error, (VenueRejected, VenueHttp)):
            # It refused the request, so it is there.
            self._answered(state, turn)

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()


def _is_failure(error: VenueError) -> bool:
    """Whether the host itself failed, 52x of the proxies before it included."""
    return error.retryable or (isinstance(error, VenueHttp) and error.http_status >= 500)


def _block_pause(error: VenueBlocked, before: int) -> float:
    """Seconds to leave a host alone that does not serve us, `before` blocks in a row."""
    if error.reason.startswith("geo"):
        return GEO_PAUSE
    return min(BLOCK_PAUSE * float(2**before), GEO_PAUSE)


def _rate_pause(error: VenueRateLimited, before: int) -> float:
    """Seconds to leave a host alone that did not say how long; 418 is a ban of minutes."""
    first = LONGEST_PAUSE if error.http_status == 418 else RATE_PAUSE
    return min(first * float(2**before), LONGEST_PAUSE)
