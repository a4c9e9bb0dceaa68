"""The one cache: at the wire, shared by everything that is asked, with single flight.

A call states how old an answer may be. Askers of the same thing at the same time share one
flight, which lives in a task group of the app and not in the first asker: whoever is cancelled,
the others still get the answer, and the flight itself is cancelled only when nobody waits.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import httpx2
from cachetools import LRUCache

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import VenueError, VenueTimeout
from mmflow_mcp.upstream.answers import examine, wire_of
from mmflow_mcp.upstream.shelf import Shelf
from mmflow_mcp.upstream.wire import Call, Wire

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

log = logging.getLogger("mmflow_mcp")

_Key = tuple[str, bytes | None]


class Fault(VenueError):
    """A fault of our own while asking a venue; what it was is in the log."""

    code = "internal"
    status = 500
    retryable = False


@dataclass(slots=True)
class Counts:
    """How often an answer was here, awaited with others, asked for, or an old one stood in."""

    hit: int = 0
    joined: int = 0
    miss: int = 0
    stale: int = 0


class _Flight:
    """One request under way and those who wait for it."""

    __slots__ = ("done", "error", "request", "scope", "waiters", "wire")

    def __init__(self, request: httpx2.Request) -> None:
        self.request = request
        self.done = anyio.Event()
        self.scope = anyio.CancelScope()
        self.waiters = 0
        self.wire: Wire | None = None
        self.error: VenueError | None = None

    def last_until(self, deadline: float | None) -> None:
        """Let retries and waits below go on until the latest deadline of those who wait."""
        own = self.request.extensions.get("deadline")
        if own is not None and (deadline is None or deadline > own):
            self.request.extensions["deadline"] = deadline


class CacheTransport(httpx2.AsyncBaseTransport):
    """Answers from memory while fresh, joins a flight under way, or starts one.

    The layer below gives the decoded answer in `extensions["doc"]`, or, where it may be older than
    this moment, its `Wire`. The answer of a cached call
    carries its `Wire` in `extensions["wire"]`, and in `extensions["stale"]` the failure that an
    old copy stands in for. Requests without a `Call` (sockets) pass through.
    """

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        *,
        clock: Clock,
        tasks: "TaskGroup",
        max_bytes: int,
        flight_seconds: float,
        shelf: Shelf | None = None,
    ) -> None:
        self._inner = inner
        self._shelf = shelf or Shelf(None, kind="", clock=clock)
        self._clock = clock
        self._tasks = tasks
        self._flight_seconds = flight_seconds
        self._wires: LRUCache[_Key, Wire] = LRUCache(max_bytes, getsizeof=lambda w: w.size)
        self._flights: dict[_Key, _Flight] = {}
        self.counts = Counts()

    def peek(self, call: Call) -> Wire | None:
        """The cached answer if it is fresh enough for this call; never waits."""
        wire = self._wires.get(call.key)
        if wire is not None and self._clock.monotonic() - wire.read <= call.fresh:
            self.counts.hit += 1
            return wire
        return None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Serve one request; see the class."""
        call = request.extensions.get("call")
        if not isinstance(call, Call):
            return await self._inner.handle_async_request(request)
        wire = self.peek(call)
        if wire is not None:
            return _response(wire)
        try:
            return _response(await self._join(call, request))
        except VenueError as error:
            old = self._wires.get(call.key)
            if old is None or self._clock.monotonic() - old.read > call.keep:
                raise
            self.counts.stale += 1
            return _response(old, stale=error.reason)

    async def _join(self, call: Call, request: httpx2.Request) -> Wire:
        flight = self._flights.get(call.key)
        if flight is None:
            flight = _Flight(request)
            self._tasks.start_soon(self._fly, flight, call, name=f"flight {call.label}")
            # Only once it is sure to run: a flight that never ends would hold its askers for ever.
            self._flights[call.key] = flight
            self.counts.miss += 1
        else:
            self.counts.joined += 1
            flight.last_until(request.extensions.get("deadline"))
        flight.waiters += 1
        try:
            await flight.done.wait()
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.done.is_set():
                self._forget(call, flight)
                flight.scope.cancel()
        if flight.wire is not None:
            return flight.wire
        error = flight.error or VenueTimeout("timeout: the request was given up")
        raise error.fresh() from error

    async def _fly(self, flight: _Flight, call: Call) -> None:
        """Fetch for all who wait. Whatever happens, they are told."""
        flight.scope.deadline = anyio.current_time() + self._flight_seconds
        try:
            with flight.scope:
                flight.wire = await self._obtain(flight.request, call)
                self._store(call, flight.wire)
        except VenueError as error:
            flight.error = error
        except Exception as error:
            # The task is the app's: unheeded, a fault here would end every question with it.
            log.exception("asking for %s met a fault", call.label)
            flight.error = Fault(f"internal: {type(error).__name__} while the venue was asked")
        finally:
            if flight.wire is None and flight.error is None:
                seconds = self._flight_seconds
                flight.error = VenueTimeout(f"timeout: no answer within {seconds:g} s")
            self._forget(call, flight)
            flight.done.set()

    async def _obtain(self, request: httpx2.Request, call: Call) -> Wire:
        """The answer from the shelf where that one is fresh, else from the source."""
        if not call.keep_on_disk:
            return (await self._read(request, call))[0]
        kept = await self._take_down(call)
        if kept is not None:
            if self._clock.monotonic() - kept.read <= call.fresh:
                return kept
            # It stands in for the source when that fails.
            self._store(call, kept)
        refused = await anyio.to_thread.run_sync(self._shelf.refusal, call)
        if refused is not None:
            raise refused
        try:
            wire, body = await self._read(request, call)
        except VenueError as error:
            await anyio.to_thread.run_sync(self._shelf.refuse, call, error)
            raise
        await anyio.to_thread.run_sync(self._shelf.put, call, wire, body)
        return wire

    async def _take_down(self, call: Call) -> Wire | None:
        """The copy on the shelf, if today's reader understands it."""
        kept = await anyio.to_thread.run_sync(self._shelf.take, call)
        if kept is None:
            return None
        try:
            await examine(kept, call)
        except VenueError:
            return None
        return kept

    async def _read(self, request: httpx2.Request, call: Call) -> tuple[Wire, bytes]:
        response = await self._inner.handle_async_request(request)
        return await wire_of(response, call, self._clock), response.content

    def _store(self, call: Call, wire: Wire) -> None:
        # An answer larger than the whole cache is still an answer; it is only not kept.
        if wire.size <= self._wires.maxsize:
            self._wires[call.key] = wire

    def _forget(self, call: Call, flight: _Flight) -> None:
        if self._flights.get(call.key) is flight:
            del self._flights[call.key]

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()


def _response(wire: Wire, *, stale: str | None = None) -> httpx2.Response:
    return httpx2.Response(200, extensions={"wire": wire, "stale": stale})
