"""MCP and REST over HTTP on one port, loopback unless told otherwise."""

import contextlib
import gc
import math
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING

import anyio
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mmflow_mcp import __version__
from mmflow_mcp.app import App, running
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces import logs
from mmflow_mcp.surfaces.guarding import guarded, openness
from mmflow_mcp.surfaces.hosts import LOOPBACK, Layer, own_names
from mmflow_mcp.surfaces.mcp import build_server
from mmflow_mcp.surfaces.pages import pages, strays
from mmflow_mcp.surfaces.prometheus import Metrics
from mmflow_mcp.surfaces.readiness import Ready
from mmflow_mcp.surfaces.rest import Rest
from mmflow_mcp.surfaces.sse import Stream, streams
from mmflow_mcp.surfaces.stdio import tracing
from mmflow_mcp.surfaces.stopping import EndStreams, Server, stopped_by_signals

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

MAX_BODY = 1 << 20
# Seconds beyond its deadline that a question in flight is waited for when the server stops.
GRACE = 2.0


def build_app(
    app: App,
    host: str,
    stopping: anyio.Event,
    *,
    layers: Sequence[Layer] = (),
    routes: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """The ASGI application: `/mcp`, REST under `/api`, the pages, `/healthz` and `/readyz`.

    `layers` stand before all of them, the first outermost; `routes` are further pages and streams.
    """
    server = build_server(app)
    # Names are judged before all faces, `/mcp` too: `own_names`.
    names_judged = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    inner = server.streamable_http_app(
        transport_security=names_judged, max_request_body_size=MAX_BODY, host=host
    )
    rest, live = Rest(app), streams(app, stopping)
    ready, metrics = Ready(app, stopping), Metrics(app, live)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with server.session_manager.run():
            app.soon(end_waits, app, stopping)
            ready.started = True
            yield

    # Under /api and before /: what is no path of REST is told the nearest.
    every = [
        Route("/healthz", healthz),
        Route("/readyz", ready.page),
        Route("/metrics", metrics.page),
        *pages(app),
        *routes,
        Mount("/api", rest),
        Mount("/", strays(inner, app)),
    ]
    others = EndStreams(Starlette(routes=every, lifespan=lifespan), stopping)
    guard = guarded(faces(rest, live, others, app.tracer), app, MAX_BODY)
    if app.settings.require_key:
        ready.require_keys(guard.ring)
    metrics.guard, metrics.others = guard, others
    whole: ASGIApp = guard
    own = own_names(host, app.settings.hosts, app.clock)
    outer: tuple[Layer, ...] = (logs.logged, own, *layers)
    for layer in reversed(outer):
        whole = layer(whole)
    return whole


async def end_waits(app: App, stopping: anyio.Event) -> None:
    """When the server stops, questions that wait for the tape end with what has come."""
    await stopping.wait()
    await app.end_tape()


def faces(
    rest: Rest, live: Mapping[str, Stream], others: ASGIApp, tracer: "Tracer | None" = None
) -> ASGIApp:
    """REST and the event streams beside all else: what others need would slow them.

    The answers of REST are finished bytes; a stream ends by itself when the server stops. REST also
    says that nothing is at a path with a line feed in it: Starlette would take one at the end for
    none, and serve as `/mcp` what the guard before it, which compares exactly, has not counted.
    """
    answering: ASGIApp = rest
    if tracer is not None:
        from mmflow_mcp.surfaces.tracing import traced  # noqa: PLC0415 - where it is wanted

        answering = traced(rest, tracer)
    direct: dict[str, ASGIApp] = {**dict.fromkeys(rest.paths, answering), **live}

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        known = None
        if scope["type"] == "http":
            path = scope["path"]
            known = answering if "\n" in path else direct.get(path)
        await (known or others)(scope, receive, send)

    return choose


def spare_collector() -> None:
    """What is loaded stays: the garbage collector need not walk it while listeners wait.

    It stops everything for as long as it takes, the longer the more there is to walk.
    """
    gc.collect()
    gc.freeze()


async def healthz(_: Request) -> JSONResponse:
    """Whether the process answers at all."""
    return JSONResponse({"status": "ok", "version": __version__})


def serve_http(settings: Settings, host: str, port: int, *, tape: bool = False) -> int:
    """Serve until stopped; says in one line what is open, once it is."""
    # Before anything is opened: what goes wrong there is logged in our form already.
    logs.set_up(settings)
    stopping = anyio.Event()
    servers: list[Server] = []

    def stop() -> None:
        stopping.set()
        for server in servers:
            server.stop()

    def opened(port: int) -> None:
        sys.stderr.write(opening_line(settings, host, port))
        sys.stderr.flush()

    async def serve() -> int:
        async with running(settings, tracer=tracer) as app:
            app.record("full")
            if tape:
                app.soon(app.hold_tape)
            asgi = build_app(app, host, stopping)
            spare_collector()
            server = Server(configured(asgi, settings, host, port), stopping, opened)
            servers.append(server)
            if not stopping.is_set():
                await server.serve()
            return 0 if server.started or stopping.is_set() else 1

    with stopped_by_signals(stop), tracing(settings) as tracer:
        return anyio.run(serve)


def configured(asgi: ASGIApp, settings: Settings, host: str, port: int) -> uvicorn.Config:
    """How uvicorn serves us."""
    return uvicorn.Config(
        asgi,
        host=host,
        port=port,
        log_level="warning",
        # Its lines go where ours go, in their form.
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=math.ceil(settings.deadline + GRACE),
        # By default it believes X-Forwarded-For from loopback: any local client could lie.
        proxy_headers=False,
    )


def opening_line(settings: Settings, host: str, port: int) -> str:
    """What is open, where, to whom."""
    reach = openness(settings, loopback=host in LOOPBACK)
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return (
        f"mmflow-mcp {__version__}: MCP at {base}/mcp, REST at {base}/api/v1 ({reach}),"
        f" source {settings.source.split(':', 1)[0]}\n"
    )
