"""An ASGI app as the bottom of the client: simulated venues and replay, HTTP and WebSocket.

One task per request or socket, in a task group that the app owns. A body streams as it is
produced. Whoever stops waiting is a disconnect to the app, as on a network: its `receive` says
so, its `send` raises OSError, and an app that does neither is cancelled a moment later.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

import anyio
import httpcore2
import httpx2
from anyio.abc import TaskGroup

from mmflow_mcp.upstream.frames import Frames

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# Seconds an app has to notice that its asker has gone, before its task is cancelled.
GRACE = 0.05
# Chunks an app may be ahead of its reader.
AHEAD = 16


class AsgiTransport(httpx2.AsyncBaseTransport):
    """Runs `app` in process.

    ConnectionError from the app before it answers is httpx2.ConnectError; any other fault of the
    app is httpx2.ReadError, without its words. An app may put `read_at` (epoch ms) into its
    first answering message; it arrives as `response.extensions["read_at"]`.
    The time-outs of the request bound the wait for the answer and for each part of it.
    """

    def __init__(self, app: App, tasks: TaskGroup) -> None:
        self._app = app
        self._tasks = tasks

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Start the app on the request and wait for the beginning of its answer."""
        socket = request.url.scheme in ("ws", "wss") or "sec-websocket-key" in request.headers
        body = await request.aread()
        exchange = (_Socket if socket else _Exchange)(self._app, _scope(request, socket), body)
        self._tasks.start_soon(exchange.run)
        patience = (request.extensions.get("timeout") or {}).get("read")
        try:
            with anyio.fail_after(patience):
                await exchange.begun.wait()
        except TimeoutError:
            exchange.hang_up()
            raise httpx2.ReadTimeout("no answer in time", request=request) from None
        except BaseException:
            exchange.hang_up()
            raise
        if exchange.start is None:
            exchange.hang_up()
            refused = isinstance(exchange.error, ConnectionError)
            kind = httpx2.ConnectError if refused else httpx2.ReadError
            raise kind("no answer came", request=request) from exchange.error
        return exchange.answer(request, patience)


class _Exchange:
    """One run of the app: what it may hear, what it has said, and its task."""

    def __init__(self, app: App, scope: Message, body: bytes) -> None:
        self.begun = anyio.Event()
        self.gone = anyio.Event()
        self.start: Message | None = None
        self.error: Exception | None = None
        self.finished = False
        self._app = app
        self._scope = scope
        self._question: list[Message] = [
            {"type": "http.request", "body": body, "more_body": False},
        ]
        self._task = anyio.CancelScope()
        self._out, self.parts = anyio.create_memory_object_stream[bytes](AHEAD)

    async def run(self) -> None:
        """Run the app. Its exceptions end here; the asker gets a transport error instead."""
        try:
            with self._task:
                await self._app(self._scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001 - any fault of an app is a broken connection
            self.error = error
        finally:
            self.begun.set()
            self._out.close()

    async def receive(self) -> Message:
        """The request, then nothing until the asker leaves."""
        if self._question:
            return self._question.pop()
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a part of the answer; raises OSError when the asker has gone."""
        if self.gone.is_set():
            raise BrokenPipeError
        if message["type"].endswith("http.response.start"):
            self.start = message
            self.begun.set()
        elif message["type"].endswith("http.response.body"):
            if part := bytes(message.get("body", b"")):
                await self.pass_on(part)
            if not message.get("more_body", False):
                self.finished = True
                self._out.close()

    async def pass_on(self, part: bytes) -> None:
        """Hand bytes to the reader, waiting while it is behind."""
        try:
            await self._out.send(part)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise BrokenPipeError from None

    def hang_up(self) -> None:
        """The asker leaves."""
        self.gone.set()
        self.parts.close()
        if not self.finished:
            self._task.deadline = min(self._task.deadline, anyio.current_time() + GRACE)

    def answer(self, request: httpx2.Request, patience: float | None) -> httpx2.Response:
        """The response whose beginning has come."""
        start = self.start or {}
        return httpx2.Response(
            start["status"],
            headers=list(start.get("headers", [])),
            stream=_Body(self, request, patience),
            extensions=_extensions(start),
        )


class _Body(httpx2.AsyncByteStream):
    """The parts of an answer as they come."""

    def __init__(
        self, exchange: _Exchange, request: httpx2.Request, patience: float | None
    ) -> None:
        self._exchange = exchange
        self._request = request
        self._patience = patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                with anyio.fail_after(self._patience):
                    part = await self._exchange.parts.receive()
            except anyio.EndOfStream:
                break
            except TimeoutError:
                raise httpx2.ReadTimeout("no more came in time", request=self._request) from None
            if self._request.method != "HEAD":
                yield part
        if not self._exchange.finished:
            msg = "the answer broke off"
            raise httpx2.ReadError(msg, request=self._request) from self._exchange.error

    async def aclose(self) -> None:
        self._exchange.hang_up()


class _Socket(_Exchange):
    """A WebSocket: frames on the client's side (it is the network stream), messages on the app's.

    An app may also refuse with an HTTP answer (`websocket.http.response.start` and `.body`).
    """

    def __init__(self, app: App, scope: Message, body: bytes) -> None:
        super().__init__(app, scope, body)
        self._frames = Frames("server")
        self._rest = b""
        self._in, self._messages = anyio.create_memory_object_stream[Message](math.inf)
        self._in.send_nowait({"type": "websocket.connect"})

    async def run(self) -> None:
        with self._messages:
            await super().run()

    async def receive(self) -> Message:
        try:
            return await self._messages.receive()
        except anyio.EndOfStream:
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    async def send(self, message: Message) -> None:
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
        self._in.close()
        super().hang_up()

    def answer(self, request: httpx2.Request, patience: float | None) -> httpx2.Response:
        start = self.start or {}
        if start["status"] != 101:  # noqa: PLR2004 - switching protocols
            return super().answer(request, patience)
        headers = [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]
        if chosen := start.get("subprotocol"):
            headers.append((b"sec-websocket-protocol", chosen.encode("latin-1")))
        return httpx2.Response(
            101,
            headers=[*headers, *start.get("headers", [])],
            stream=_Body(self, request, patience),
            extensions={**_extensions(start), "network_stream": self},
        )

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """The next bytes for the client; empty when the app has ended."""
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

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Bytes of the client; an app that has ended hears nothing more."""
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
        """The client leaves."""
        self.hang_up()

    def get_extra_info(self, info: str) -> Any:
        """Nothing: there is no network below."""


def _extensions(start: Message) -> dict[str, Any]:
    return {"read_at": start["read_at"]} if "read_at" in start else {}


def _scope(request: httpx2.Request, socket: bool) -> Message:
    """The ASGI scope of a request; a missing Host header is added."""
    url = request.url
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    if "host" not in request.headers:
        headers.insert(0, (b"host", url.netloc))
    scope: Message = {
        "type": "websocket" if socket else "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": headers,
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 0),
    }
    if socket:
        offered = request.headers.get("sec-websocket-protocol", "")
        scope["subprotocols"] = [one.strip() for one in offered.split(",") if one.strip()]
        scope["extensions"] = {"websocket.http.response": {}}
    else:
        scope["method"] = request.method
    return scope
