"""The one client: every byte from a venue comes through here.

The layers are transports under one interface, from the top:

    cache > (fleet) > breaker > retry > budget > traffic > judge > base

The base is the network, the simulated venues or recordings.

State is kept per host inside each layer, so one stack serves all venues. HTTP and WebSocket go
the same way: a socket's request passes every layer untouched down to the same base.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import httpx2

from mmflow_mcp.clock import Clock
from mmflow_mcp.tally import Tally
from mmflow_mcp.upstream.breaker import BreakerTransport
from mmflow_mcp.upstream.budget import BudgetTransport, Meter
from mmflow_mcp.upstream.cache import CacheTransport
from mmflow_mcp.upstream.health import HealthLedger
from mmflow_mcp.upstream.judge import JudgeTransport, Refusal
from mmflow_mcp.upstream.retry import RetryTransport
from mmflow_mcp.upstream.shelf import Shelf
from mmflow_mcp.upstream.traffic import TrafficTransport
from mmflow_mcp.upstream.wire import Call, Wire

if TYPE_CHECKING:
    from anyio.abc import TaskGroup
    from opentelemetry.trace import Tracer

    from mmflow_mcp.fleet.link import Link
    from mmflow_mcp.upstream.fleet_cache import Flown
    from mmflow_mcp.upstream.streams import Stream

_ACCEPT = {"json": "application/json", "text": "text/html, text/csv;q=0.9, */*;q=0.5"}


class Upstream:
    """Asks venues. `kind` is where the bytes come from: live, sim or replay.

    `shelf`: where last good answers are kept; in memory unless one is given. `tracer`: makes a
    span of every request. `link`: the way to the replicas that answers are shared with, `space`
    whose answers fit ours.
    """

    def __init__(
        self,
        base: httpx2.AsyncBaseTransport,
        *,
        kind: str,
        clock: Clock,
        tasks: "TaskGroup",
        meters: tuple[Meter, ...] = (),
        refusals: Mapping[str, Refusal] | None = None,
        venues: Mapping[str, str] | None = None,
        cache_bytes: int = 64 * 1024 * 1024,
        attempt_seconds: float = 6.0,
        shelf: Shelf | None = None,
        tracer: "Tracer | None" = None,
        link: "Link | None" = None,
        space: str = "",
    ) -> None:
        self.kind = kind
        self.link = link
        self.clock = clock
        self.health = HealthLedger(clock)
        judged = JudgeTransport(
            base,
            clock=clock,
            health=self.health,
            refusals=refusals or {},
            venues=venues or {},
            attempt_seconds=attempt_seconds,
        )
        self.traffic = Tally()
        counted: httpx2.AsyncBaseTransport = TrafficTransport(judged, self.traffic, venues or {})
        if tracer is not None:
            from mmflow_mcp.upstream.spans import SpanTransport  # noqa: PLC0415 - where it is wanted

            counted = SpanTransport(counted, tracer, venues or {})
        self._venues = venues or {}
        self._budget = BudgetTransport(counted, clock, meters)
        self._breaker = BreakerTransport(RetryTransport(self._budget, clock), clock)
        below: httpx2.AsyncBaseTransport = self._breaker
        if link is not None:
            from mmflow_mcp.upstream.fleet_cache import FleetCacheTransport  # noqa: PLC0415 - fleet

            below = FleetCacheTransport(
                below,
                link,
                space=space or kind,
                clock=clock,
                tasks=tasks,
                attempt_seconds=attempt_seconds,
                learn=self._learn,
            )
        self._cache = CacheTransport(
            below,
            clock=clock,
            tasks=tasks,
            max_bytes=cache_bytes,
            flight_seconds=attempt_seconds * 2,
            shelf=shelf or Shelf(None, kind=kind, clock=clock),
        )
        self._client = httpx2.AsyncClient(
            transport=self._cache, trust_env=False, timeout=attempt_seconds
        )
        self.peek = self._cache.peek
        self.refused = self._breaker.refused
        self.cached = self._cache.counts

    async def fetch(self, call: Call, deadline: float) -> tuple[Wire, str | None]:
        """The answer to a call, and why it is stale if it is.

        `deadline` is a monotonic time of the clock: retries and budget waits end there.
        Raises a `VenueError` when there is no answer.
        """
        headers = {"accept": _ACCEPT[call.form], "accept-encoding": "gzip, deflate"}
        if call.body is not None:
            headers["content-type"] = "application/json"
        request = httpx2.Request(
            call.method,
            call.url,
            headers=headers,
            content=call.body,
            extensions={"call": call, "deadline": deadline},
        )
        response = await self._client.send(request)
        return response.extensions["wire"], response.extensions["stale"]

    def _learn(self, flown: "Flown") -> None:
        """Take in what another replica's flight came to: what it spent, and what the venue said."""
        if flown.weight:
            self._budget.learn(flown.host, flown.weight, flown.seconds)
        if flown.error is not None:
            self._breaker.learn(flown.host, flown.error, flown.seconds)
        elif flown.answered:
            self.health.answered(self._venues.get(flown.host, flown.host), flown.seconds)

    def socket(self, url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        """A WebSocket through the same layers."""
        return self._client.websocket(url, **options)

    def stream(
        self, url: str, headers: Mapping[str, str] | None = None
    ) -> "AbstractAsyncContextManager[Stream]":
        """A WebSocket whose failures are `VenueError`s; its heartbeat is the caller's business."""
        from mmflow_mcp.upstream.streams import MAX_FRAME, open_stream  # noqa: PLC0415

        options = {"keepalive_ping_interval_seconds": None, "max_message_size_bytes": MAX_FRAME}
        return open_stream(self.socket(url, headers=headers, **options))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()
