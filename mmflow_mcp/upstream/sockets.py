"""One WebSocket to an ASGI app in process: frames on the client's side, messages on the app's."""

import math
from contextlib import suppress
from typing import Any

import anyio
import httpcore2
import httpx2

from mmflow_mcp.upstream.exchange import App, Body, Exchange, Message
from mmflow_mcp.upstream.frames import Frames


class Socket(Exchange):
    """One run of the app on a socket; it is also the client's network stream.

    An app refuses with `websocket.close` (403) or with an HTTP answer of its own
    (`websocket.http.response.start` and `.body`). An app that ends or fails after it accepted
    is a connection that broke.
    """

    def __init__(self, app: App, scope: Message, body: bytes, patience: float | None) -> None:
        super().__init__(app, scope, body, patience)
        self._frames = Frames("server")
        self._rest = b""
        self._in, self._messages = anyio.create_memory_object_stream[Message](math.inf)
        self._in.send_nowait({"type": "websocket.connect"})

    async def run(self) -> None:
        """Run the app."""
        with self._messages:
            await super().run()

    async def receive(self) -> Message:
        """Tell the app what the client sent; a disconnect once the client has left."""
        try:
            return await self._messages.receive()
        except anyio.EndOfStream:
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    async def send(self, message: Message) -> None:
        """Take a message of the app; raises OSError when the client has left."""
        if self.gone.is_set() or not self._frames.open:
            raise BrokenPipeError
        kind = message["type"]
        if kind == "websocket.accept":
            self.start = {**message, "status": 101}
            self.begun.set()
        elif kind == "websocket.send":
            text = message.get("text")
            data = text if text is not None else bytes(message["bytes"])
            await self.pass_on(self._frames.write(data))
        elif kind == "websocket.close" and self.start is None:
            await super().send({"type": "http.response.start", "status": 403})
            await super().send({"type": "http.response.body"})
        elif kind == "websocket.close":
            code, reason = message.get("code", 1000), message.get("reason") or ""
            await self.pass_on(self._frames.close(code, reason))
            self._out.close()
        else:
            await super().send(message)

    def hang_up(self) -> None:
        """Leave, as the client."""
        self._in.close()
        super().hang_up()

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """Make the 101 response that carries this stream, or the app's refusal."""
        start = self.start or {}
        if start["status"] != 101:
            return super().answer(request)
        headers = [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]
        if chosen := start.get("subprotocol"):
            headers.append((b"sec-websocket-protocol", chosen.encode("latin-1")))
        return httpx2.Response(
            101,
            headers=[*headers, *start.get("headers", [])],
            stream=Body(self, request),
            extensions={**self.extensions(), "network_stream": self},
        )

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Give the client the next bytes; none when the app has ended."""
        if not self._rest:
            try:
                with anyio.fail_after(timeout):
                    self._rest = await self.parts.receive()
            except anyio.EndOfStream:
                return b""
            except anyio.ClosedResourceError:
                raise httpcore2.ReadError from None
            except TimeoutError:
                raise httpcore2.ReadTimeout from None
        data, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Take bytes of the client; an app that has ended hears nothing more."""
        if self.gone.is_set():
            raise httpcore2.WriteError
        for kind, value in self._frames.read(buffer):
            if kind == "ping":
                with suppress(BrokenPipeError):
                    await self.pass_on(value)
                continue
            message: Message = {"type": "websocket.receive", kind: value}
            if kind == "close":
                code, reason = value
                message = {"type": "websocket.disconnect", "code": code, "reason": reason}
            with suppress(anyio.BrokenResourceError):
                self._in.send_nowait(message)

    async def aclose(self) -> None:
        """Leave, as the client."""
        self.hang_up()

    def get_extra_info(self, info: str) -> Any:  # noqa: ARG002
        """Nothing is known of a network below: there is none."""
        return None
