"""Counts every request to a venue by how it ended, and how long the answers took.

It stands above the judge, so that what counts is what an answer means, one attempt at a time.
"""

from collections.abc import Mapping
from time import perf_counter

import httpx2

from mmflow_mcp.errors import VenueError, VenueRateLimited
from mmflow_mcp.tally import Tally
from mmflow_mcp.upstream.wire import Call

GIVEN_UP = "given up"
OTHER = "other"


class TrafficTransport(httpx2.AsyncBaseTransport):
    """A layer that counts; `venues`: host -> venue. Sockets pass through."""

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, tally: Tally, venues: Mapping[str, str]
    ) -> None:
        self._inner = inner
        self._tally = tally
        self._venues = venues

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass a request on and note how it ends, or that its askers gave it up."""
        if not isinstance(request.extensions.get("call"), Call):
            return await self._inner.handle_async_request(request)
        outcome, began = GIVEN_UP, perf_counter()
        try:
            response = await self._inner.handle_async_request(request)
            outcome = "ok"
        except VenueError as error:
            outcome = outcome_of(error)
            raise
        finally:
            venue = self._venues.get(request.url.host, OTHER)
            self._tally.add((venue,), outcome, perf_counter() - began)
        return response

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()


def outcome_of(error: VenueError) -> str:
    """How a failure is counted: by its code, a rate limit apart from other statuses."""
    return "limited" if isinstance(error, VenueRateLimited) else error.code
