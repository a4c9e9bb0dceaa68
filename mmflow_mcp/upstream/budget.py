"""The venue's own rate budget: never more weight in any window than the venue allows.

Hosts that share a meter at the venue share it here (Binance USD-M and COIN-M do), and a host with
several meters obeys all of them. When a venue asks for a pause (Retry-After), what is waiting
here waits that long too.
"""

import math
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import httpx2

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import VenueError, VenueRateLimited
from mmflow_mcp.upstream.wire import ROOM, Call, time_left


@dataclass(frozen=True, slots=True)
class Meter:
    """What a venue allows: `capacity` units of weight in any `seconds`, over these hosts."""

    hosts: tuple[str, ...]
    capacity: float
    seconds: float


class OverBudget(VenueError):
    """Our own restraint: the venue's published rate leaves no room before the deadline."""

    code = "budget"
    retryable = False


@dataclass(eq=False, slots=True)
class _Spend:
    """Weight spent, or to be spent, at a monotonic time."""

    at: float
    weight: float


class _Window:
    """What was spent of one meter within its window, first come first served.

    A bucket that refills would let twice the capacity pass within a window that begins with it
    full; so the spends themselves are remembered until they are out of the window.
    """

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.pause: VenueRateLimited | None = None
        self.paused_until = -math.inf
        self._spends: deque[_Spend] = deque()
        self._total = 0.0

    def earliest(self, weight: float, now: float) -> float:
        """When this weight may be spent: after all that was promised before it."""
        seconds = self.meter.seconds
        while self._spends and self._spends[0].at + seconds <= now:
            self._total -= self._spends.popleft().weight
        at = max(now, self.paused_until)
        # What is promised counts like what is spent. A weight beyond the whole capacity goes when
        # nothing else is in the window.
        over = self._total + weight - self.meter.capacity
        for spend in self._spends:
            if over <= 0:
                break
            at = max(at, spend.at + seconds)
            over -= spend.weight
        return at

    def take(self, spend: _Spend) -> None:
        """Promise a spend."""
        self._spends.append(spend)
        self._total += spend.weight

    def give_back(self, spend: _Spend) -> None:
        """Undo a take that was not used."""
        self._spends.remove(spend)
        self._total = self._total - spend.weight if self._spends else 0.0


class BudgetTransport(httpx2.AsyncBaseTransport):
    """Waits for the venue's budget, or refuses when that would outlast the deadline."""

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        clock: Clock,
        meters: tuple[Meter, ...],
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._sleep = sleep
        self._windows: dict[str, list[_Window]] = defaultdict(list)
        for meter in meters:
            window = _Window(meter)
            for host in meter.hosts:
                self._windows[host].append(window)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Spend the call's weight, then pass it on. Sockets pass through."""
        call = request.extensions.get("call")
        windows = self._windows.get(request.url.host)
        if windows is None or not isinstance(call, Call):
            return await self._inner.handle_async_request(request)
        while not await self._spend(windows, call.weight, request):
            pass
        try:
            return await self._inner.handle_async_request(request)
        except VenueRateLimited as error:
            if error.retry_after:
                until = self._clock.monotonic() + error.retry_after
                for window in windows:
                    window.pause, window.paused_until = error, max(until, window.paused_until)
            raise

    def learn(self, host: str, weight: float, seconds: float) -> None:
        """Count what another replica has spent, which had asked so many seconds ago.

        Replicas often share an address, so the fleet keeps to the published rates as one.
        """
        spend = _Spend(self._clock.monotonic() - seconds, weight)
        for window in self._windows.get(host, ()):
            window.take(spend)

    async def _spend(self, windows: list[_Window], weight: float, request: httpx2.Request) -> bool:
        """Wait for the budget and spend it; False when the venue asked for a pause meanwhile.

        Raises when there is no budget before the deadline.
        """
        now = self._clock.monotonic()
        at = max(window.earliest(weight, now) for window in windows)
        wait = at - now
        if wait > 0 and wait + ROOM > time_left(request, self._clock):
            raise _refusal(windows, now, wait)
        spend = _Spend(at, weight)
        for window in windows:
            window.take(spend)
        if wait <= 0:
            return True
        sent = False
        try:
            await self._sleep(wait)
            sent = all(window.paused_until <= max(at, now) for window in windows)
        finally:
            if not sent:
                for window in windows:
                    window.give_back(spend)
        return sent

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()


def _refusal(windows: list[_Window], now: float, wait: float) -> VenueError:
    """Why there is no budget: the venue's own pause, or its published rate."""
    for window in windows:
        if window.pause is not None and window.paused_until > now:
            error = window.pause.fresh()
            if isinstance(error, VenueRateLimited):
                error.retry_after = window.paused_until - now
            return error
    return OverBudget(f"budget: the venue's published rate leaves room only in {wait:.1f} s")
