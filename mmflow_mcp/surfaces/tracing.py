"""Spans of questions (OpenTelemetry), where an exporter is set: `MMFLOW_TRACES`, or the standard's.

The MCP SDK makes the span of a tool call; REST's is made here, and both are told the endpoint, how
it ended and how many venues it asked. The requests to venues are their children (`upstream.spans`).
The SDK of OpenTelemetry is an extra; without an exporter nothing of it is loaded.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from mmflow_mcp import __version__
from mmflow_mcp.core.fanout import ASKED
from mmflow_mcp.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from mmflow_mcp.surfaces.rest import Rest

NAME = "mmflow-mcp"
# What is not sent by then stays unsent: the end of the process does not wait for a collector.
FLUSH_SECONDS = 3.0
_CARRIED = (b"traceparent", b"tracestate")
_carrying = TraceContextTextMapPropagator()


@contextmanager
def exporting(settings: Settings) -> Iterator[Tracer | None]:
    """What makes spans, which are sent for as long as the block runs; None where none are wanted.

    Where the extra is not installed that is said in one line, and nothing is traced.
    """
    provider = _provider(settings)
    if provider is None:
        yield None
        return
    from opentelemetry.trace import set_tracer_provider  # noqa: PLC0415 - once, where it is wanted

    set_tracer_provider(provider)
    # A collector that is away is told once for each batch, not at each of its attempts.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    try:
        yield provider.get_tracer("mmflow_mcp", __version__)
    finally:
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)


def _provider(settings: Settings) -> "TracerProvider | None":
    if not settings.traces:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        sys.stderr.write(
            "mmflow-mcp: spans are not sent: OpenTelemetry is not installed."
            ' Fits: pip install "mmflow-mcp[otel]".\n'
        )
        return None
    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        # OTEL_SERVICE_NAME would have named it.
        resource = resource.merge(Resource({"service.name": NAME}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.traces)))
    return provider


def traced(rest: "Rest", tracer: Tracer) -> ASGIApp:
    """REST with a span around each question, a child of the caller's where it sends `traceparent`.

    Of the caller only that header is believed; no query is told, what is asked stays here.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await rest(scope, receive, send)
            return
        carried = {k.decode(): v.decode("latin-1") for k, v in scope["headers"] if k in _CARRIED}
        path = scope["path"]
        with tracer.start_as_current_span(
            f"{scope['method']} {path}",
            context=_carrying.extract(carried) if carried else None,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "http.route": path},
        ) as span:
            with counting() as asked:
                await rest(scope, receive, send)
            page = scope[rest.ANSWERED]
            span.set_attribute("http.response.status_code", page.status)
            tell(rest.endpoint_at(path), page.outcome, asked)
            if page.status >= 500:
                span.set_status(StatusCode.ERROR)

    return answer


@contextmanager
def counting() -> Iterator[set[str]]:
    """The venues that the question inside the block asks."""
    asked: set[str] = set()
    token = ASKED.set(asked)
    try:
        yield asked
    finally:
        ASKED.reset(token)


def tell(endpoint: str, outcome: str, asked: set[str]) -> None:
    """Tell the current span what was asked and how it ended."""
    get_current_span().set_attributes(
        {
            "mmflow.endpoint": endpoint,
            "mmflow.outcome": outcome,
            "mmflow.venues_asked": len(asked),
        }
    )
