"""The simulated venues on loopback, for other processes: tests, benchmarks, foreign clients."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mmflow_mcp.clock import Clock, SystemClock
from mmflow_mcp.sim.app import Message, Receive, Send, SimApp
from mmflow_mcp.sim.faults import Fault
from mmflow_mcp.sim.market import Market


class _Closing(H11Protocol):
    """Hands the connection to the app, so that a refused request can be cut off."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Refusing:
    """Turns ConnectionRefusedError of the app into a connection that is closed unanswered."""

    def __init__(self, app: SimApp) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ConnectionRefusedError:
            scope["state"]["transport"].abort()
            while not (await receive())["type"].endswith(".disconnect"):
                pass


def build_server(app: SimApp, **options: Any) -> uvicorn.Server:
    """A uvicorn server of the app; it logs warnings only. `options` go to uvicorn.Config."""
    config = uvicorn.Config(
        _Refusing(app),
        http=_Closing,
        ws="wsproto",
        lifespan="off",
        access_log=False,
        log_level="warning",
        **options,
    )
    return uvicorn.Server(config)


def serve(
    port: int = 0,
    seed: int = 1,
    faults: Sequence[Fault] = (),
    host: str = "127.0.0.1",
    *,
    sock: socket.socket | None = None,
    clock: Clock | None = None,
) -> None:
    """Serve until stopped, on `sock` when given (already bound), else on host and port."""
    app = SimApp(Market(seed), clock or SystemClock(), faults)
    server = build_server(app, host=host, port=port)
    server.run(sockets=None if sock is None else [sock])
