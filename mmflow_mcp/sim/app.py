"""The simulated venues as one plain ASGI app, for a transport in process or for uvicorn.

Host and path come from the Host header (in process), or from the first segment of the path:
`http://127.0.0.1:9100/<real host>/<real path>`; WebSockets likewise. An unknown path answers 404
in its venue's own words. `requests` counts what was asked, by (host, path).
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

import anyio
from cachetools import LRUCache

from mmflow_mcp.clock import Clock
from mmflow_mcp.sim.faults import Fault, Faults
from mmflow_mcp.sim.line import Line
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.roll import find_venue, name_of
from mmflow_mcp.sim.wire import (
    Handler,
    Routes,
    SimRequest,
    SimResponse,
    SimSocket,
    SocketClosed,
    Sockets,
    answer,
)

__all__ = ["SimApp", "SimRequest", "SimResponse", "SimSocket"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


_Asked = tuple[str, str, str, bytes, bytes]
_SECONDS = 4
# What each market's venues answered in the seconds asked for last: as the market is, so are its
# answers a function of time, whichever world asks.
_ANSWERED: WeakKeyDictionary[Market, LRUCache[int, dict[_Asked, SimResponse]]] = WeakKeyDictionary()


class _Place(NamedTuple):
    """A loaded venue module with its routes."""

    name: str
    module: ModuleType
    routes: Routes
    sockets: Sockets


def _settle(module: ModuleType, market: Market) -> _Place:
    sockets: Sockets = module.sockets(market) if hasattr(module, "sockets") else {}
    return _Place(name_of(module), module, module.routes(market), sockets)


class SimApp:
    """Every simulated venue behind one ASGI callable; `faults` break chosen answers."""

    def __init__(self, market: Market, clock: Clock, faults: Sequence[Fault] = ()) -> None:
        self.market = market
        self.clock = clock
        self.faults = Faults(faults)
        self.requests: Counter[tuple[str, str]] = Counter()
        self._places: dict[str, _Place] = {}
        self._answered = _ANSWERED.setdefault(market, LRUCache(_SECONDS))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request or serve one WebSocket; lifespan is acknowledged."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)

    def reply(self, method: str, host: str, path: str, query: bytes, body: bytes) -> SimResponse:
        """The answer without faults; the same question within one second is answered once."""
        second = self.clock.now_ms() // 1000
        answered = self._answered.get(second)
        if answered is None:
            answered = self._answered[second] = {}
        key = (method, host, path, query, body)
        found = answered.get(key)
        if found is None:
            found = answered[key] = self._render(key, second * 1000)
        return found

    def _render(self, key: _Asked, now_ms: int) -> SimResponse:
        method, host, path, query, body = key
        try:
            parsed = json.loads(body) if body else None
        except ValueError:
            parsed = None
        named = dict(parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True))
        request = SimRequest(method, host, path, named, parsed, now_ms)
        place = self._place(host)
        if place is None:
            return answer({"error": f"no simulated venue answers {host}"}, 404)
        handler = _find_route(place.routes, method, host, path)
        if handler is None:
            missing: Handler = getattr(place.module, "not_found", _not_found)
            return missing(request)
        return handler(request)

    def _place(self, host: str) -> _Place | None:
        module = find_venue(host)
        if module is None:
            return None
        name = name_of(module)
        if name not in self._places:
            self._places[name] = _settle(module, self.market)
        return self._places[name]

    def _locate(self, scope: Message) -> tuple[str, str]:
        """(host, path): by the first segment when it is a venue's host, else by the Host header."""
        path: str = scope["path"]
        first, _, rest = path.lstrip("/").partition("/")
        if "." in first and self._place(first.lower()) is not None:
            return first.lower(), f"/{rest}"
        header = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        host = header.partition(":")[0].lower()
        if "." in first and self._place(host) is None:
            return first.lower(), f"/{rest}"
        return host, path

    async def _serve_http(self, scope: Message, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        host, path = self._locate(scope)
        self.requests[host, path] += 1
        query: bytes = scope["query_string"]
        place = self._place(host)
        asked = f"{path}?{query.decode('latin-1')} {body[:300].decode('utf-8', 'replace')}"
        faults = self.faults.take(place.name if place else "", asked)
        for fault in faults:
            if not await _delay(fault, receive):
                return
        response = self.reply(scope["method"], host, path, query, body)
        for fault in faults:
            response = fault.spoil(response)
        headers = {**response.headers, "content-length": str(len(response.body))}
        raw = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        await send({"type": "http.response.body", "body": response.body})

    async def _serve_socket(self, scope: Message, receive: Receive, send: Send) -> None:
        host, path = self._locate(scope)
        self.requests[host, path] += 1
        await receive()
        place = self._place(host)
        handler = place.sockets.get((host, path)) if place else None
        faults = self.faults.take(place.name if place else "", path, socket=True)
        for fault in faults:
            if not await _delay(fault, receive):
                return
        if handler is None or any(fault.kind == "http" for fault in faults):
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        socket = Line(scope, receive, send, self.clock, faults)
        try:
            await handler(socket)
            await send({"type": "websocket.close", "code": 1000})
        except SocketClosed:
            return


def _find_route(routes: Routes, method: str, host: str, path: str) -> Handler | None:
    found = routes.get((method, host, path))
    if found is not None:
        return found
    for (verb, where, pattern), handler in routes.items():
        fits = pattern.endswith("*") and path.startswith(pattern[:-1])
        if fits and (verb, where) == (method, host):
            return handler
    return None


def _not_found(request: SimRequest) -> SimResponse:
    return answer({"code": 404, "msg": f"no such path: {request.path}"}, 404)


async def _delay(fault: Fault, receive: Receive) -> bool:
    """Wait, hang or refuse before any answer; False when the asker has gone.

    ConnectionRefusedError is what a transport in process makes of a closed port.
    """
    if fault.kind == "refused":
        raise ConnectionRefusedError("simulated: connection refused")
    if fault.kind == "latency":
        await anyio.sleep(fault.number)
    if fault.kind == "timeout":
        while not (await receive())["type"].endswith(".disconnect"):
            pass
        return False
    return True


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
