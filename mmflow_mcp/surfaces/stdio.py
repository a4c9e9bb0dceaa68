"""MCP over stdio: what a desktop client starts. stdout carries the protocol and nothing else."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import anyio

from mmflow_mcp.app import running
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces import logs
from mmflow_mcp.surfaces.mcp import build_server

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


def serve_stdio(settings: Settings) -> int:
    """Serve until the client closes our input."""

    async def serve(tracer: "Tracer | None") -> None:
        async with running(settings, tracer=tracer) as app:
            app.record_when_used = "light"
            await build_server(app).run_stdio_async()

    logs.set_up(settings)
    with tracing(settings) as tracer:
        anyio.run(serve, tracer)
    return 0


def tracing(settings: Settings) -> "AbstractContextManager[Tracer | None]":
    """What makes spans; without an exporter nothing is loaded, and there is none."""
    if not settings.traces:
        return nullcontext()
    from mmflow_mcp.surfaces.tracing import exporting  # noqa: PLC0415 - where it is wanted

    return exporting(settings)
