"""The venue's own rate budget: weights spent from a bucket that refills as the venue says.

Hosts that share a meter at the venue share it here (Binance USD-M and COIN-M do).
"""

from dataclasses import dataclass

import anyio
import httpx2

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import VenueError
from mmflow_mcp.upstream.wire import Call


@dataclass(frozen=True, slots=True)
class Meter:
    """What a venue allows: `capacity` units of weight per `seconds`, over these hosts."""

    hosts: tuple[str, ...]
    capacity: float
    seconds: float


class OverBudget(VenueError):
    """Our own restraint: the venue's published rate leaves no room before the deadline."""

    code = "budget"
    retryable = False


class _Bucket:
    """A token bucket; what it owes it lets its askers wait for, first come first served."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self.meter = meter
        self._clock = clock
        self._level = meter.capacity
        self._at = clock.monotonic()

    def take(self, weight: float) -> float:
        """Take the weight; the seconds to wait until it is covered."""
        now = self._clock.monotonic()
        rate = self.meter.capacity / self.meter.seconds
        self._level = min(self.meter.capacity, self._level + (now - self._at) * rate)
        self._at = now
        self._level -= weight
        return max(0.0, -self._level / rate)

    def give_back(self, weight: float) -> None:
        """Undo a take that was not used."""
        self._level += weight


class BudgetTransport(httpx2.AsyncBaseTransport):
    """Waits for the venue's budget, or refuses when that would outlast the deadline."""

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, clock: Clock, meters: tuple[Meter, ...]
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        for meter in meters:
            bucket = _Bucket(meter, clock)
            self._buckets.update(dict.fromkeys(meter.hosts, bucket))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Spend the call's weight, then pass it on."""
        bucket = self._buckets.get(request.url.host)
        call = request.extensions.get("call")
        if bucket is not None and isinstance(call, Call):
            wait = bucket.take(call.weight)
            deadline = request.extensions.get("deadline")
            if deadline is not None and wait > deadline - self._clock.monotonic():
                bucket.give_back(call.weight)
                msg = f"budget: the venue's published rate leaves room only in {wait:.0f} s"
                raise OverBudget(msg)
            if wait > 0:
                await anyio.sleep(wait)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()
