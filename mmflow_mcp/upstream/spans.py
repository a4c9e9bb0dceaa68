"""A span for every request to a venue, below the question that it is for (OpenTelemetry).

https://opentelemetry.io/docs/specs/semconv/http/http-spans/

A flight runs in the context of its first asker, so its spans are children of that question; who
joined it later finds none of its own. Addresses are told without their query.
"""

from collections.abc import Mapping

import anyio
import httpx2
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode, Tracer, get_current_span

from mmflow_mcp.errors import VenueError, VenueHttp
from mmflow_mcp.upstream.retry import ATTEMPT
from mmflow_mcp.upstream.traffic import GIVEN_UP
from mmflow_mcp.upstream.wire import Call


class SpanTransport(httpx2.AsyncBaseTransport):
    """A layer that traces; `venues`: host -> venue. Sockets pass through."""

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, tracer: Tracer, venues: Mapping[str, str]
    ) -> None:
        self._inner = inner
        self._tracer = tracer
        self._venues = venues

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass a request on; a failure is the span's too."""
        call = request.extensions.get("call")
        if not isinstance(call, Call):
            return await self._inner.handle_async_request(request)
        host = request.url.host
        attributes = {
            "http.request.method": call.method,
            "server.address": host,
            "mmflow.venue": self._venues.get(host, host),
            "mmflow.call": call.label,
        }
        if again := request.extensions.get(ATTEMPT, 1) - 1:
            attributes["http.request.resend_count"] = again
        with self._tracer.start_as_current_span(
            f"{call.method} {attributes['mmflow.venue']} {call.label}",
            context=_parent(),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                response = await self._inner.handle_async_request(request)
            except VenueError as error:
                if isinstance(error, VenueHttp):
                    span.set_attribute("http.response.status_code", error.http_status)
                span.set_attribute("error.type", error.code)
                span.set_status(StatusCode.ERROR, error.reason)
                raise
            except anyio.get_cancelled_exc_class():
                # Nobody waits for it any more; that is no fault of the venue.
                span.set_attribute("error.type", GIVEN_UP)
                raise
            span.set_attribute("http.response.status_code", response.status_code)
            return response

    async def aclose(self) -> None:
        """Close what lies below."""
        await self._inner.aclose()


def _parent() -> Context | None:
    """The context for a span: the current one, but of a question that has ended nothing is left.

    What runs in the background began in some question and outlives it.
    """
    ended = getattr(get_current_span(), "end_time", None) is not None
    return Context() if ended else None
