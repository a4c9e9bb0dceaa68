"""The end of `serve`: what is being answered is answered, streams say bye, nothing is left behind.

The first SIGTERM or SIGINT stops the server, a second one ends the process at once. uvicorn's own
handling raises the signal again when it is done, which would end the process before the recorder
has given back its lease and the store has written what waits; so the signals are ours throughout.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import anyio
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import HANDLED_SIGNALS

# Set in a request's scope by the guard: its answer ends by itself and is waited for.
ENDS = "mmflow.ends"
# So long connections that are kept are still read when the server stops.
LAST_SECONDS = 0.5


class EndStreams:
    """When the server stops, open streams end instead of holding it up; what ends by itself is let.

    An open listen stream keeps uvicorn from ending after SIGTERM (MCP-SDK-NOTES section 6).
    `open`: how many of MCP are under way that do not end by themselves: listen streams.
    """

    def __init__(self, app: ASGIApp, stopping: anyio.Event) -> None:
        self._app = app
        self._stopping = stopping
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its `receive` says disconnect once the server stops."""
        if scope["type"] != "http" or scope.get(ENDS):
            await self._app(scope, receive, send)
            return
        listens = scope["path"].startswith("/mcp")
        self.open += listens
        try:
            await self._until_stopped(scope, receive, send)
        finally:
            self.open -= listens

    async def _until_stopped(self, scope: Scope, receive: Receive, send: Send) -> None:
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


class Server(uvicorn.Server):
    """Leaves the signals alone and tells the open streams when it stops.

    `opened` is called once, with the port, when it listens: never where the port was taken.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        stopping: anyio.Event,
        opened: Callable[[int], None] = lambda _: None,
    ) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._opened = opened

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._opened(self.servers[0].sockets[0].getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: whoever runs the server has them (`stopped_by_signals`)."""
        yield

    async def main_loop(self) -> None:
        """Serve until told to stop, then answer who asks over a connection that is open.

        uvicorn closes those in which nothing is under way, and with them a question that has been
        sent and not been read yet. Every answer now says that its connection ends.
        """
        await super().main_loop()
        for server in self.servers:
            server.close()
        # Requests under way hold this very list.
        self.server_state.default_headers.append((b"connection", b"close"))
        with anyio.move_on_after(LAST_SECONDS):
            while self.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
                await anyio.sleep(0.02)

    def stop(self) -> None:
        """End the streams, then the server."""
        self._stopping.set()
        self.should_exit = True


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """For as long as the block runs the first signal calls `stop`, a second ends the process."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may hold signals.
        yield
        return
    told: list[int] = []

    def handle(sig: int, _: object) -> None:
        if told:
            sys.stderr.write("mmflow-mcp: ended at once by a second signal\n")
            sys.stderr.flush()
            os._exit(128 + sig)
        told.append(sig)
        stop()

    before = {sig: signal.signal(sig, handle) for sig in HANDLED_SIGNALS}
    try:
        yield
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)
