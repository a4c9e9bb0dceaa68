"""An ASGI app as the bottom of the client: simulated venues and replay, HTTP and WebSocket.

One task per request or socket, in a task group that the app owns. A body streams as it is
produced. Whoever stops waiting is a disconnect to the app, as on a network: its `receive` says
so, its `send` raises OSError, and an app that does neither is cancelled a moment later.
"""

import anyio
import httpx2
from anyio.abc import TaskGroup

from mmflow_mcp.upstream.exchange import App, Exchange, Message, Receive, Send
from mmflow_mcp.upstream.sockets import Socket

__all__ = ["App", "AsgiTransport", "Message", "Receive", "Send"]


class AsgiTransport(httpx2.AsyncBaseTransport):
    """Runs `app` in process.

    ConnectionError from the app before it answers is httpx2.ConnectError; any other fault of the
    app is httpx2.ReadError, without its words. An app may put `read_at` (epoch ms) into the
    message that begins its answer; it arrives as `response.extensions["read_at"]`.
    The read time-out of the request bounds the wait for the answer and for each part of it.
    """

    def __init__(self, app: App, tasks: TaskGroup) -> None:
        self._app = app
        self._tasks = tasks

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Start the app on the request and wait for the beginning of its answer."""
        exchange = await self._exchange(request)
        self._tasks.start_soon(exchange.run)
        try:
            with anyio.fail_after(exchange.patience):
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
        return exchange.answer(request)

    async def _exchange(self, request: httpx2.Request) -> Exchange:
        body = await request.aread()
        scope = _scope(request)
        patience = (request.extensions.get("timeout") or {}).get("read")
        kind = Socket if scope["type"] == "websocket" else Exchange
        return kind(self._app, scope, body, patience)


def _scope(request: httpx2.Request) -> Message:
    """Build the ASGI scope of a request; a missing Host header is added."""
    url = request.url
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    if "host" not in request.headers:
        headers.insert(0, (b"host", url.netloc))
    scope: Message = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": headers,
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 0),
    }
    if url.scheme in ("ws", "wss") or "sec-websocket-key" in request.headers:
        offered = request.headers.get("sec-websocket-protocol", "")
        scope["type"] = "websocket"
        scope["subprotocols"] = [one.strip() for one in offered.split(",") if one.strip()]
        scope["extensions"] = {"websocket.http.response": {}}
    return scope
