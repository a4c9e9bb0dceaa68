"""One request to an ASGI app in process: its task, what it hears and what it has said."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import anyio
import httpx2

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# Seconds an app has to notice that its asker has gone, before its task is cancelled.
GRACE = 0.05
# Chunks an app may be ahead of its reader.
AHEAD = 16


class Exchange:
    """One run of the app.

    `begun` is set when `start` (the message that begins the answer) is there, or when there will
    be none; then `error` says why, if the app said. `patience`: seconds to wait for each part.
    """

    def __init__(self, app: App, scope: Message, body: bytes, patience: float | None) -> None:
        self.begun = anyio.Event()
        self.gone = anyio.Event()
        self.start: Message | None = None
        self.error: Exception | None = None
        self.finished = False
        self.patience = patience
        self._app = app
        self._scope = scope
        self._question: Message | None = {
            "type": "http.request",
            "body": body,
            "more_body": False,
        }
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
        """Tell the app the request, then nothing until the asker leaves."""
        question, self._question = self._question, None
        if question is not None:
            return question
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
        """Leave, as the asker: an unfinished app has a moment to notice."""
        self.gone.set()
        self.parts.close()
        if not self.finished:
            self._task.deadline = min(self._task.deadline, anyio.current_time() + GRACE)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """Make the response whose beginning has come."""
        start = self.start or {}
        return httpx2.Response(
            start["status"],
            headers=list(start.get("headers", [])),
            stream=Body(self, request),
            extensions=self.extensions(),
        )

    def extensions(self) -> dict[str, Any]:
        """What the app says beside the answer: when it was read, epoch ms."""
        start = self.start or {}
        return {"read_at": start["read_at"]} if "read_at" in start else {}


class Body(httpx2.AsyncByteStream):
    """The parts of an answer as they come; closing it hangs up."""

    def __init__(self, exchange: Exchange, request: httpx2.Request) -> None:
        self._exchange = exchange
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                with anyio.fail_after(self._exchange.patience):
                    part = await self._exchange.parts.receive()
            except anyio.EndOfStream:
                break
            except TimeoutError:
                raise httpx2.ReadTimeout("no more came in time", request=self._request) from None
            if self._request.method != "HEAD":
                yield part
        if not self._exchange.finished:
            error = httpx2.ReadError("the answer broke off", request=self._request)
            raise error from self._exchange.error

    async def aclose(self) -> None:
        """Leave."""
        self._exchange.hang_up()
