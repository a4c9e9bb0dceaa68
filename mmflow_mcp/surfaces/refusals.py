"""How the guard says no, in the words of who asked.

REST reads the specification's error envelope. An MCP client reads a JSON-RPC error, whose code is
the status. A tool call past its quota is the exception: an HTTP 429 reaches the host's code as an
exception and the model not at all, so it is answered as a tool result that is an error (status 200)
and tells the model when to ask again; the headers are the same.
"""

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json
from starlette.types import Message

from mmflow_mcp.surfaces.peeking import Peeked

EXPOSED = b"Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
# As on every other answer under /api: pages of any origin may read why.
CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", EXPOSED),
)


class Refusal(Exception):
    """A request that is turned away: status, one or two sentences, headers beside the usual."""

    def __init__(
        self, status: int, said: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(said)
        self.status = status
        self.said = said
        self.headers = headers


def answered(refusal: Refusal, asked: Peeked, *, on_mcp: bool, now_ms: int) -> Iterator[Message]:
    """The messages of the answer."""
    status, headers = refusal.status, [*refusal.headers]
    if not on_mcp:
        body: dict[str, Any] = enveloped(refusal.said, now_ms)
        headers += CORS
    elif status == 429 and asked.method == "tools/call":
        status = 200
        body = {"jsonrpc": "2.0", "id": asked.id, "result": tool_error(refusal.said, asked)}
    else:
        error = {"code": refusal.status, "message": refusal.said}
        body = {"jsonrpc": "2.0", "id": asked.id, "error": error}
    content = to_json(body)
    headers += [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(content)),
        (b"cache-control", b"no-store"),
    ]
    yield {"type": "http.response.start", "status": status, "headers": headers}
    yield {"type": "http.response.body", "body": content}


def enveloped(said: str, now_ms: int) -> dict[str, Any]:
    """An error as the envelope of REST."""
    meta = {"fetchedAt": now_ms, "source": "", "partial": True, "sources": []}
    return {"error": said, "data": [], "meta": meta}


def tool_error(said: str, asked: Peeked) -> dict[str, Any]:
    """An error as the result of a tool."""
    result: dict[str, Any] = {"content": [{"type": "text", "text": said}], "isError": True}
    return {**result, "resultType": "complete"} if asked.modern else result
