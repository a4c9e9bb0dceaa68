"""MCP over stdio: what a desktop client starts. stdout carries the protocol and nothing else."""

import asyncio
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import anyio

from mmflow_mcp.app import App, running
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces import logs
from mmflow_mcp.surfaces.mcp import build_server

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


# Seconds that closing may take once a signal has come.
PATIENCE = 2.0
FOR_PEOPLE = (
    "mmflow-mcp: this is the MCP server, which a client starts and speaks to on stdin and stdout."
    " `mmflow-mcp demo` shows what it answers, --help lists the commands; Ctrl-C ends it.\n"
)


def serve_stdio(settings: Settings) -> int:
    """Serve until the client closes our input, or SIGINT or SIGTERM comes."""

    async def serve(tracer: "Tracer | None") -> None:
        async with running(settings, tracer=tracer) as app:
            app.record_when_used = "light"
            app.soon(end_when_told, app)
            await build_server(app).run_stdio_async()

    logs.set_up(settings)
    if sys.stdin.isatty():
        sys.stderr.write(FOR_PEOPLE)
        sys.stderr.flush()
    with tracing(settings) as tracer:
        anyio.run(serve, tracer)
    return 0


async def end_when_told(app: App) -> None:
    """At SIGINT or SIGTERM close everything and end the process; a second signal ends it at once.

    It ends here because a thread waits for the next line of stdin, which nothing can break off.
    """
    loop, told = asyncio.get_running_loop(), anyio.Event()
    came: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)

    def handle(kind: int, _: object) -> None:
        came.append(kind)
        for each in kinds:
            signal.signal(each, signal.SIG_DFL)
        loop.call_soon_threadsafe(told.set)

    before = {kind: signal.signal(kind, handle) for kind in kinds}
    try:
        await told.wait()
    finally:
        if not came:
            for kind, handler in before.items():
                signal.signal(kind, handler)
    try:
        with anyio.CancelScope(shield=True), anyio.move_on_after(PATIENCE):
            await app.close()
    finally:
        os._exit(128 + came[0])


def tracing(settings: Settings) -> "AbstractContextManager[Tracer | None]":
    """What makes spans; without an exporter nothing is loaded, and there is none."""
    if not settings.traces:
        return nullcontext()
    from mmflow_mcp.surfaces.tracing import exporting  # noqa: PLC0415 - where it is wanted

    return exporting(settings)
