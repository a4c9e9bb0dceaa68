"""Server-Sent Events: the streams of the declarations under `/api/v1/streams`.

https://html.spec.whatwg.org/multipage/server-sent-events.html

An event is encoded once however many listen. What comes within a tenth of a second after a write is
written together; after a pause it goes out at once. A thousand may listen: what a timer, a task or
a layer for each would do, one task does for all.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from mmflow_mcp.app import App
from mmflow_mcp.endpoints.answer import Shape, written
from mmflow_mcp.endpoints.declare import Endpoint, endpoints
from mmflow_mcp.endpoints.live import VENUE, WatchQuery, check_stream
from mmflow_mcp.errors import AllVenuesFailed, BadQuestion, MmflowError
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.surfaces import questions
from mmflow_mcp.surfaces.finished import CORS, METHODS, PREFLIGHT, Finished
from mmflow_mcp.surfaces.openapi import MOST_PADDING, PREFIX, address
from mmflow_mcp.surfaces.rest import MAX_QUERY, arguments_of
from mmflow_mcp.tally import outcome_of
from mmflow_mcp.tape.board import Queue
from mmflow_mcp.tape.readings import numbered_apart, prints_after

GATHER_SECONDS = 0.1
# How long somebody who does not read may hold up the end of a stream.
BYE_SECONDS = 1.0
# So many times between two heartbeats it is looked who needs one.
LOOKS = 30
# Parameters of the tool that mean nothing on a stream.
_OF_THE_TOOL = frozenset(WatchQuery.model_fields)
_OPENING = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    # A proxy that gathers answers would keep events back.
    (b"x-accel-buffering", b"no"),
    (b"connection", b"close"),
    (b"x-content-type-options", b"nosniff"),
    *CORS,
]


def streams(app: App, stopping: anyio.Event) -> "dict[str, Stream]":
    """Every declared stream by its path; they say `bye` once `stopping` is set."""
    return {
        PREFIX + e.path: Stream(app, e, stopping)
        for e in endpoints().values()
        if e.live is not None
    }


def event(name: str, event_id: str, data: Any) -> bytes:
    """One event: name and id before the data, which are one line."""
    told = f"id: {event_id}\n" if event_id else ""
    return f"event: {name}\n{told}data: ".encode() + to_json(data) + b"\n\n"


@dataclass(slots=True, eq=False)
class _Open:
    """A stream to one listener. Loop times: `due` of the next heartbeat, `until` of its end."""

    queue: Queue[Any]
    scope: anyio.CancelScope
    due: float
    until: float
    # Also when the listener has gone: nobody is there to read it, and nothing is lost.
    reason: str = "shutdown"


class Stream:
    """One stream as an ASGI application; any number of listeners."""

    def __init__(self, app: App, e: Endpoint, stopping: anyio.Event | None = None) -> None:
        if e.live is None:
            msg = f"{e.name} has no stream"
            raise TypeError(msg)
        self._app = app
        self._e = e
        self._live = e.live
        self._stopping = stopping or anyio.Event()
        self.endpoint = e.name
        example = {name: said for name, said in e.example.items() if name not in _OF_THE_TOOL}
        self._example = address(PREFIX + e.path, example)
        self._open: set[_Open] = set()
        # Events that slow listeners have lost.
        self.lost = 0
        self._tending = False
        self._tick = self._live.heartbeat / LOOKS

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell events until the listener leaves, the longest time is over, or the server stops."""
        if scope["method"] == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": PREFLIGHT.copy()})
            await send({"type": "http.response.body", "body": b""})
            return
        if scope["method"] not in ("GET", "HEAD"):
            text = f"a stream is read-only. Fits: {METHODS.decode()}."
            await self._refuse(405, text, BadQuestion("method", text), scope, send)
            return
        try:
            query, padding = self._understood(scope["query_string"])
            await check_stream(self._app.core(), query)
        except MmflowError as error:
            text = str(error)
            if isinstance(error, BadQuestion):
                text += f" Example: {self._example}"
            await self._refuse(error.status, text, error, scope, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _OPENING.copy()})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        self._app.used()
        self._app.asked.add(("stream", self._e.name), "ok")
        last_id = _header(scope, b"last-event-id")
        with self._live.listen(self._app.core(), query) as queue:
            await self._tell(queue, query, last_id, padding, receive, send)

    def _understood(self, query: bytes) -> tuple[Any, int]:
        if len(query) > MAX_QUERY:
            raise BadQuestion("", f"the query is longer than {MAX_QUERY:,} bytes.")
        given: dict[str, Any] = dict(arguments_of(query))
        padding = _padding(given.pop("padding", "0"))
        taken = [name for name in self._e.query.model_fields if name not in _OF_THE_TOOL]
        for name in given:
            if name in _OF_THE_TOOL:
                raise BadQuestion(name, "a stream goes on until you close it.", fits="leave it out")
            if name not in taken:
                near, fits = questions.meant(name, taken), ", ".join([*taken, "padding"])
                raise BadQuestion(name[:40], "unknown argument.", nearest=near, fits=fits)
        return questions.validated(self._e, given), padding

    async def _refuse(
        self, status: int, text: str, error: Exception, scope: Scope, send: Send
    ) -> None:
        self._app.asked.add(("stream", self._e.name), outcome_of(status))
        now = self._app.clock.now_ms()
        if isinstance(error, AllVenuesFailed):
            said = questions.failure(error, text, now)
        else:
            said = questions.failure(Exception(), text, now)
        more = [(b"allow", METHODS)] if status == 405 else []
        await Finished(to_json(said), status=status, more=more).send(scope, send)

    async def _tell(
        self,
        queue: Queue[Any],
        query: Any,
        last_id: str,
        padding: int,
        receive: Receive,
        send: Send,
    ) -> None:
        """The body of the stream; `bye` tells why it ends."""
        pad = b":" + b" " * padding + b"\n\n" if padding else b""

        async def write(*events: bytes) -> None:
            body = b"".join(one + pad for one in events)
            await send({"type": "http.response.body", "body": body, "more_body": True})

        async with anyio.create_task_group() as tasks:
            one = self._opened(queue, tasks.cancel_scope)
            try:
                tasks.start_soon(_watch, receive, tasks.cancel_scope)
                # The first bytes tell a client that it is connected.
                await write(b": connected\n\n", *self._missed(query, last_id))
                await self._events(one, write)
            finally:
                self._open.discard(one)
            tasks.cancel_scope.cancel()
        with anyio.move_on_after(BYE_SECONDS):
            await write(event("bye", "", {"reason": one.reason}))
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self, one: _Open, write: Callable[..., Any]) -> None:
        """Write what happens until the tape ends."""
        queue, free = one.queue, 0.0
        while not queue.closed:
            await queue.some()
            if (pause := free - anyio.current_time()) > 0:
                await anyio.sleep(pause)
            batch = queue.take()
            if batch.lost:
                self.lost += batch.lost
                await write(f": {batch.lost} events lost, this listener is slow\n\n".encode())
            if batch.items:
                await write(*map(self._encoded, batch.items))
            elif not queue.closed:
                await write(event("heartbeat", "", {"ts": self._app.clock.now_ms()}))
            now = anyio.current_time()
            one.due, free = now + self._live.heartbeat, now + GATHER_SECONDS

    def _opened(self, queue: Queue[Any], scope: anyio.CancelScope) -> _Open:
        now = anyio.current_time()
        lasts = self._app.settings.stream_seconds
        one = _Open(queue, scope, now + self._live.heartbeat, now + lasts)
        self._open.add(one)
        if not self._tending:
            self._tending = True
            self._app.soon(self._tend)
        return one

    async def _tend(self) -> None:
        """While anybody listens: wake who needs a heartbeat, end what has lasted long enough."""
        try:
            while self._open:
                with anyio.move_on_after(self._tick):
                    await self._stopping.wait()
                now = anyio.current_time()
                for one in self._open:
                    if self._stopping.is_set():
                        one.scope.cancel()
                    elif now >= one.until:
                        one.reason = "max-duration"
                        one.scope.cancel()
                    elif now + self._tick >= one.due:
                        one.queue.wake()
                if self._stopping.is_set():
                    break
        finally:
            self._tending = False

    def _encoded(self, item: Any) -> bytes:
        encode = partial(_encode, self._live.event, self._live.row)
        if isinstance(item, TapePrint):
            return item.encoded(self._live.event, encode)
        return encode(item)

    def _missed(self, query: Any, last_id: str) -> Iterable[bytes]:
        """What came since the event that a returning listener saw last, as far as it is kept."""
        if not last_id or self._live.event == "funding":
            return ()
        coins = (query.coin,) if query.coin else None
        core = self._app.core()
        found = prints_after(core.tape, VENUE, last_id, coins, query.minUsd)
        if found is None:
            return (b": what came in between is not kept any more\n\n",)
        apart = numbered_apart(core.tape, VENUE, last_id)
        said = (b": this replica listened alone then: some may lack or come twice\n\n",)
        return (*(said if apart else ()), *map(self._encoded, found))


def _encode(name: str, row: Callable[[Any], Any], item: Any) -> bytes:
    event_id = item.event_id if isinstance(item, TapePrint) else str(item.ts)
    return event(name, event_id, written(row(item), Shape()))


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    """End the stream when its listener has gone or the server stops."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _header(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1")[:64] for k, v in scope["headers"] if k == name), "")


def _padding(text: str) -> int:
    """Bytes of comment after each event, for clients that read in blocks."""
    if not text.isdecimal() or int(text) > MOST_PADDING:
        raise BadQuestion("padding", f"{text[:20]!r} does not fit.", fits=f"0 to {MOST_PADDING}")
    return int(text)
