"""MCP and REST over HTTP on one port, loopback unless told otherwise."""

import contextlib
import gc
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import anyio
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmflow_mcp import __version__
from mmflow_mcp.app import App, running
from mmflow_mcp.clock import Clock
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces.guarding import guarded, openness
from mmflow_mcp.surfaces.mcp import build_server
from mmflow_mcp.surfaces.pages import pages, strays
from mmflow_mcp.surfaces.rest import Rest, refusal
from mmflow_mcp.surfaces.sse import Stream, streams

MAX_BODY = 1 << 20
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

# What stands before an application and may answer in its place.
Layer = Callable[[ASGIApp], ASGIApp]


class EndStreams:
    """Outermost layer: when the server stops, open streams end instead of holding it up.

    An open listen stream keeps uvicorn from ending after SIGTERM (MCP-SDK-NOTES section 6).
    """

    def __init__(self, app: ASGIApp, stopping: anyio.Event) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its `receive` says disconnect once the server stops."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = {"begun": False, "ended": False}

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["begun"] = True
            elif not message.get("more_body", False):
                state["ended"] = True
            await send(message)

        async def close() -> None:
            if state["begun"] and not state["ended"]:
                await told({"type": "http.response.body", "body": b"", "more_body": False})

        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await self._stopping.wait()
                # Handlers get a moment to see the disconnect, then what is left is closed.
                await anyio.sleep(0.1)
                await close()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            await self._app(scope, self._receiver(receive), told)
            if self._stopping.is_set():
                await close()
            tasks.cancel_scope.cancel()

    def _receiver(self, receive: Receive) -> Receive:
        async def next_message() -> Message:
            if self._stopping.is_set():
                return {"type": "http.disconnect"}
            box: list[Message] = []
            async with anyio.create_task_group() as tasks:

                async def stop() -> None:
                    await self._stopping.wait()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(stop)
                box.append(await receive())
                tasks.cancel_scope.cancel()
            return box[0] if box else {"type": "http.disconnect"}

        return next_message


def security(host: str) -> TransportSecuritySettings:
    """Only our own names may be in Host and Origin: a page elsewhere cannot reach us."""
    names = {*LOOPBACK[:2], "[::1]"}
    if host not in (*LOOPBACK, *EVERY_ADDRESS):
        names.add(host)
    hosts = [h for name in sorted(names) for h in (name, f"{name}:*")]
    origins = [f"{scheme}://{h}" for scheme in ("http", "https") for h in hosts]
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


def own_names(host: str, clock: Clock) -> Layer:
    """A layer that refuses a Host that is none of ours, as `/mcp` does.

    Where the server listens on every address it cannot know its names: there all are taken.
    """
    allowed = security(host).allowed_hosts
    plain = {name.encode() for name in allowed}
    with_port = tuple(name.removesuffix("*").encode() for name in allowed if name.endswith(":*"))
    text = "This server does not go by that name (Host)."

    def ours(name: bytes) -> bool:
        name = name.lower()
        return name in plain or any(
            name.startswith(start) and name[len(start) :].isdigit() for start in with_port
        )

    def layer(inner: ASGIApp) -> ASGIApp:
        async def check(scope: Scope, receive: Receive, send: Send) -> None:
            names = [v for k, v in scope.get("headers", ()) if k == b"host"]
            if scope["type"] == "http" and not (len(names) == 1 and ours(names[0])):
                await refusal(421, text, now_ms=clock.now_ms()).send(scope, send)
                return
            await inner(scope, receive, send)

        return inner if host in EVERY_ADDRESS else check

    return layer


def build_app(
    app: App,
    host: str,
    stopping: anyio.Event,
    *,
    layers: Sequence[Layer] = (),
    routes: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """The ASGI application: `/mcp`, REST under `/api`, the pages and `/healthz`.

    `layers` stand before all of them, the first outermost; `routes` are further pages and streams.
    """
    server = build_server(app)
    inner = server.streamable_http_app(
        transport_security=security(host), max_request_body_size=MAX_BODY, host=host
    )
    rest = Rest(app)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with server.session_manager.run():
            yield

    # Under /api and before /: what is no path of REST is told the nearest.
    every = [
        Route("/healthz", healthz),
        *pages(app),
        *routes,
        Mount("/api", rest),
        Mount("/", strays(inner, app)),
    ]
    others = EndStreams(Starlette(routes=every, lifespan=lifespan), stopping)
    whole = faces(rest, streams(app, stopping), others)
    whole = guarded(whole, app, MAX_BODY)
    for layer in reversed((own_names(host, app.clock), *layers)):
        whole = layer(whole)
    return whole


def faces(rest: Rest, live: Mapping[str, Stream], others: ASGIApp) -> ASGIApp:
    """REST and the event streams beside all else: what others need would slow them.

    The answers of REST are finished bytes; a stream ends by itself when the server stops.
    """
    direct: dict[str, ASGIApp] = {**dict.fromkeys(rest.paths, rest), **live}

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        known = direct.get(scope["path"]) if scope["type"] == "http" else None
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


class Server(uvicorn.Server):
    """Tells the open streams when it stops."""

    def __init__(self, config: uvicorn.Config, stopping: anyio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: object) -> None:
        """SIGINT or SIGTERM: end the streams, then the server."""
        self._stopping.set()
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def serve_http(settings: Settings, host: str, port: int, *, tape: bool = False) -> int:
    """Serve until stopped; says in one line what is open."""

    async def serve() -> int:
        async with running(settings) as app:
            app.record("full")
            if tape:
                app.soon(app.hold_tape)
            stopping = anyio.Event()
            asgi = build_app(app, host, stopping)
            spare_collector()
            config = uvicorn.Config(
                asgi,
                host=host,
                port=port,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=5,
                # By default it believes X-Forwarded-For from loopback: any local client could lie.
                proxy_headers=False,
            )
            reach = openness(settings, loopback=host in LOOPBACK)
            sys.stderr.write(
                f"mmflow-mcp {__version__}: MCP at http://{host}:{port}/mcp,"
                f" REST at http://{host}:{port}/api/v1 ({reach}),"
                f" source {settings.source.split(':', 1)[0]}\n"
            )
            sys.stderr.flush()
            server = Server(config, stopping)
            await server.serve()
            return 0 if server.started else 1

    return anyio.run(serve)
