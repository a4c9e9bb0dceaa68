"""Nothing slips past the guard: paths, methods, sockets and spellings, over the whole application.

Requests are raw, as a server hands them on: a client library would tidy the tricks away.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
import pytest
from guards import message
from pydantic_core import from_json, to_json
from worlds import world

from mmflow_mcp.app import App
from mmflow_mcp.surfaces.guarding import FREE
from mmflow_mcp.surfaces.http import build_app

pytestmark = pytest.mark.anyio

QUESTION = "/api/v1/perps/oi"
CALL = to_json(message("tools/call", name="get_markets", arguments={}))
HOST = (b"host", b"127.0.0.1")
ON_MCP = [
    (b"content-type", b"application/json"),
    (b"accept", b"application/json, text/event-stream"),
    (b"mcp-protocol-version", b"2025-06-18"),
]
# Spellings of paths that a router, a proxy or a careless comparison might take for the right one.
TRICKS = (
    *("//api/v1/perps/oi", "/api//v1/perps/oi", "/api/v1/../v1/perps/oi", "/api/v1/./perps/oi"),
    *(
        "/x/../api/v1/perps/oi",
        "/healthz/../api/v1/perps/oi",
        "/api/v1/perps/oi/",
        "/API/v1/perps/oi",
    ),
    *("/%61pi/v1/perps/oi", "/api%2Fv1%2Fperps%2Foi", "/api/v1/perps/%6fi", "/api/v1/perps/oi%00"),
    *(
        "/api/v1/perps/oi;x",
        "/api/v1/perps/oi%3Fvenues=all",
        "/api\\v1\\perps\\oi",
        "/./api/v1/perps/oi",
    ),
    *(
        "/api/v1/openapi/../perps/oi",
        "/api/v1/openapi/",
        "/api/v1/openapi%20",
        "/healthz/",
        "/readyz/",
    ),
    *("/metrics", "/metrics/", "//metrics", "/nosuch", "", "*", "http://127.0.0.1/api/v1/perps/oi"),
    *("/api", "/api/", "/api/hl/candles", "/api/v1/streams/whales", "/api/v1/streams/../perps/oi"),
    # Starlette's routes take these for the paths without a line feed.
    *("/mcp%0a", "/api/v1/perps/oi%0a", "/api/v1/%0a", "/%0a", "/metrics%0a", "/healthz%0a"),
    *("/mcp", "/mcp/", "//mcp", "/MCP", "/%6dcp", "/mcp/../mcp", "/healthz%2f..%2fmcp"),
)


@dataclass
class Told:
    """An answer."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    @property
    def counted(self) -> bool:
        """Whether it was counted as a question."""
        return b"x-ratelimit-remaining" in self.headers

    @property
    def data(self) -> bool:
        """Whether it holds anything of what may be asked."""
        return self.status == 200 and b'"data":[{' in self.body.replace(b" ", b"")


class Raw:
    """Speaks ASGI to an application."""

    def __init__(self, asgi: Any) -> None:
        self._asgi = asgi

    async def ask(
        self, path: str, method: str = "GET", *headers: tuple[bytes, bytes], body: bytes = b""
    ) -> Told:
        """One request; its path decoded once, as servers do."""
        told = Told()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"" if path in FREE else b"coins=BTC&venues=bybit",
            "headers": [HOST, *headers],
            "client": ("203.0.113.9", 4000),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return pending.pop() if pending else {"type": "http.disconnect"}

        async def send(said: dict[str, Any]) -> None:
            if said["type"] == "http.response.start":
                told.status, told.headers = said["status"], dict(said["headers"])
            else:
                told.body += said.get("body", b"")

        with anyio.fail_after(20):
            await self._asgi(scope, receive, send)
        return told

    async def socket(self, path: str, host: bytes = b"127.0.0.1") -> list[str]:
        """A WebSocket's opening; what it is told."""
        told: list[str] = []
        scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "scheme": "ws",
            "headers": [(b"host", host)],
            "subprotocols": [],
            "client": ("203.0.113.9", 4000),
            "state": {},
        }

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(said: dict[str, Any]) -> None:
            told.append(said["type"])

        with anyio.fail_after(20):
            await self._asgi(scope, receive, send)
        return told


@asynccontextmanager
async def house(folder: Path, **settings: Any) -> AsyncIterator[tuple[Raw, App]]:
    """The whole application, started."""
    async with world(data=str(folder), **settings) as app:
        asgi: Any = build_app(app, "127.0.0.1", anyio.Event())
        asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        asked.put_nowait({"type": "lifespan.startup"})
        async with anyio.create_task_group() as tasks:
            scope = {"type": "lifespan", "asgi": {}, "state": {}}
            tasks.start_soon(asgi, scope, asked.get, told.put)
            assert "lifespan.startup.complete" == (await told.get())["type"]
            yield Raw(asgi), app
            asked.put_nowait({"type": "lifespan.shutdown"})


async def test_where_a_key_is_required_nothing_is_open_by_its_spelling(tmp_path: Path) -> None:
    """No path, no method but the preflight of /api, and nothing of it builds a part."""
    async with house(tmp_path, require_key=True) as (raw, app):
        for path in TRICKS:
            for method in ("GET", "HEAD", "POST", "DELETE", "get", "options", "PROPFIND"):
                told = await raw.ask(path, method)
                assert 401 == told.status, (method, path)
        for path in ("/mcp", "/mcp/", "/metrics", "//api/v1/perps/oi", "/nosuch"):
            assert 401 == (await raw.ask(path, "OPTIONS")).status, path
        for path in (QUESTION, "/api/v1/nosuch", "/api/v1/../perps/oi"):
            told = await raw.ask(path, "OPTIONS")
            assert (True, False) == (told.status in (204, 404), told.data), path
        assert app.built is None


async def test_what_is_free_answers_no_question(tmp_path: Path) -> None:
    """Whatever the method; behind keys, too. Nor does what lies beside it in name."""
    beside = ("/assets/../api/v1/perps/oi", "/docs/examples/../../mcp", "/assets/..%2fmetrics")
    async with house(tmp_path, require_key=True) as (raw, app):
        for path in sorted(FREE):
            for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT"):
                told = await raw.ask(path, method, *ON_MCP, body=CALL)
                assert told.status in (200, 204, 404, 405), (method, path, told.status)
                assert not told.data
        for path in beside:
            for method in ("GET", "POST", "OPTIONS"):
                told = await raw.ask(path, method, *ON_MCP, body=CALL)
                assert told.status in (401, 404, 405), (method, path, told.status)
        assert app.built is None


async def test_no_spelling_of_a_question_is_answered_uncounted(tmp_path: Path) -> None:
    """What is answered was counted; what was not counted is not answered."""
    async with house(tmp_path, anon_per_minute=1000) as (raw, _):
        plain = await raw.ask(QUESTION)
        assert (True, True) == (plain.data, plain.counted)
        for path in TRICKS:
            for method in ("GET", "HEAD"):
                told = await raw.ask(path, method) if "streams" not in path else Told()
                assert told.counted or not told.data, (method, path)
                assert told.counted or told.status not in (200, 206, 304) or "met" in path, path
        fed = ("/mcp%0a", "/mcp%0a%0a", "/mcp/%0a", "/mcp%0d%0a")
        for path in ("/mcp", "/mcp/", "//mcp", "/MCP", "/%6dcp", "/x/../mcp", *fed):
            told = await raw.ask(path, "POST", *ON_MCP, body=CALL)
            answered = told.status == 200 and b"result" in told.body
            assert told.counted or not answered, path


async def test_the_quota_holds_over_all_spellings(tmp_path: Path) -> None:
    """One allowance for every way to ask, HEAD and conditional requests included."""
    match = (b"if-none-match", b"*")
    async with house(tmp_path, anon_per_minute=4) as (raw, _):
        told = [
            await raw.ask(QUESTION),
            await raw.ask("/%61pi/v1/perps/oi"),
            await raw.ask(QUESTION, "HEAD"),
            await raw.ask(QUESTION, "GET", match),
        ]
        assert [200, 200, 200, 304] == [one.status for one in told]
        assert [b"3", b"2", b"1", b"0"] == [one.headers[b"x-ratelimit-remaining"] for one in told]
        for path, method in ((QUESTION, "GET"), ("/api/v1/nosuch", "HEAD"), (QUESTION, "POST")):
            assert 429 == (await raw.ask(path, method)).status
        over = await raw.ask("/mcp", "POST", *ON_MCP, body=CALL)
        assert from_json(over.body)["result"]["isError"]
        # Health, the document and a preflight stay free.
        for path in ("/healthz", "/readyz", "/api/v1/openapi"):
            assert 200 == (await raw.ask(path)).status
        assert 204 == (await raw.ask(QUESTION, "OPTIONS")).status


async def test_keys_that_cannot_be_read_open_nothing(tmp_path: Path) -> None:
    """With a key 503, without 401, on every face; a socket is refused."""
    (tmp_path / "keys.sqlite").write_bytes(b"damaged" * 2000)
    from mmflow_mcp.access.keys import make_key

    key = (b"x-api-key", make_key("t", 1)[0].encode())
    async with house(tmp_path, require_key=True) as (raw, app):
        for path in (QUESTION, "/api/v1/nosuch", "/metrics", "/nosuch", "/mcp"):
            assert 503 == (await raw.ask(path, "GET", key)).status, path
            assert 401 == (await raw.ask(path)).status, path
        assert 503 == (await raw.ask("/mcp", "POST", key, *ON_MCP, body=CALL)).status
        assert app.built is None


@pytest.mark.parametrize("required", [True, False])
async def test_no_socket_is_opened_anywhere(tmp_path: Path, required: bool) -> None:  # noqa: FBT001
    """No face speaks WebSocket: an upgrade is closed, of whatever path and name."""
    async with house(tmp_path, require_key=required) as (raw, _):
        for path in (QUESTION, "/mcp", "/", "/api/v1/streams/whales", "/healthz"):
            assert "websocket.accept" not in await raw.socket(path)
        assert ["websocket.close"] == await raw.socket("/", b"evil.example")
