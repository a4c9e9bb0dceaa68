"""Event streams over real HTTP: the specification's frames, resumption, and every end."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import anyio
import httpx2
import pytest
import uvicorn
from servers import port_of
from starlette.applications import Starlette
from starlette.routing import Route
from test_live import covered, fast, truth
from worlds import world

from mmflow_mcp.app import App
from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.rows.tape import TapePrint
from mmflow_mcp.surfaces.http import build_app
from mmflow_mcp.surfaces.sse import GATHER_SECONDS, Stream, streams

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(asgi: Any) -> AsyncIterator[str]:
    """An application on a port of its own; its address."""
    config = uvicorn.Config(asgi, port=0, log_level="warning", lifespan="on")
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        port = await port_of(server)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            server.force_exit = True


@asynccontextmanager
async def served(app: App, stopping: anyio.Event | None = None) -> AsyncIterator[str]:
    """Everything that `serve` offers."""
    async with serving(build_app(app, "127.0.0.1", stopping or anyio.Event())) as base:
        yield base


async def events(base: str, path: str, last: str = "") -> AsyncIterator[dict[str, Any]]:
    """Events as an SSE client sees them, comments left out."""
    headers = {"last-event-id": last} if last else {}
    async with (
        httpx2.AsyncClient(timeout=20) as client,
        client.stream("GET", base + path, headers=headers) as response,
    ):
        assert 200 == response.status_code
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "*" == response.headers["access-control-allow-origin"]
        told: dict[str, Any] = {}
        async for line in response.aiter_lines():
            if not line and told:
                yield told
                told = {}
            elif line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                assert not (name == "data" and "event" not in told), "event stands before data"
                told[name] = json.loads(value) if name == "data" else value


async def take(base: str, path: str, count: int, last: str = "") -> list[dict[str, Any]]:
    """The first events of a stream."""
    found = []
    with anyio.fail_after(20):
        async for one in events(base, path, last):
            found.append(one)
            if len(found) == count:
                break
    return found


async def test_trades_are_the_specifications_and_the_markets() -> None:
    """Names, ids and members as specified; the numbers are the truth's."""
    async with fast() as app, served(app) as base:
        await covered(app, 1, coin="BTC")
        found = await take(base, "/api/v1/streams/trades?coin=btc&minUsd=100", 8)
    assert {"trade"} == {one["event"] for one in found}
    names = ["coin", "side", "price", "size", "notionalUsd", "ts", "venue"]
    assert names == list(found[0]["data"])
    assert all(one["id"].split("-")[0] == str(one["data"]["ts"]) for one in found)
    stamps = [one["data"]["ts"] for one in found]
    expected = truth("BTC", stamps[0] - 1, stamps[-1])
    assert [p.at_ms for p in expected if p.price * p.size >= 100] == stamps


async def test_a_listener_that_returns_misses_nothing() -> None:
    """Ten connections one after the other, each with the last id it saw: every print once."""
    async with fast() as app, served(app) as base:
        await covered(app, 1, coin="BTC")
        seen: list[int] = []
        last = ""
        for _ in range(10):
            found = await take(base, "/api/v1/streams/trades?coin=BTC", 5, last)
            seen += [one["data"]["ts"] for one in found]
            last = found[-1]["id"]
    assert 50 == len(seen)
    assert [p.at_ms for p in truth("BTC", seen[0] - 1, seen[-1])] == seen


async def test_whales_and_funding_have_their_members() -> None:
    """As specified; a funding event carries what it is measured against."""
    async with fast() as app, served(app) as base:
        await covered(app, 1)
        (whale,) = await take(base, "/api/v1/streams/whales?minUsd=2000", 1)
        (change,) = await take(base, "/api/v1/streams/funding?coins=BTC,ETH&minDeltaBps=0.001", 1)
    assert "whale" == whale["event"]
    names = ["coin", "side", "notionalUsd", "price", "ts", "venue"]
    assert names == [name for name in whale["data"] if name != "size"]
    assert whale["data"]["notionalUsd"] >= 2000
    assert "funding" == change["event"]
    names = ["coin", "rate", "periodHours", "prevRate", "delta", "ts", "venue"]
    assert names == list(change["data"])


async def test_it_says_bye_after_its_longest_time() -> None:
    """With the reason; the connection then ends."""
    async with world(stream_seconds=1.0) as app, served(app) as base:
        with anyio.fail_after(10):
            found = [one async for one in events(base, "/api/v1/streams/whales?minUsd=1e9")]
    assert [("bye", {"reason": "max-duration"})] == [(o["event"], o["data"]) for o in found]


async def test_it_says_bye_when_the_server_stops() -> None:
    """A listener knows why."""
    stopping = anyio.Event()
    found = []
    async with world() as app, served(app, stopping) as base:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:

                async def stop() -> None:
                    await anyio.sleep(0.5)
                    stopping.set()

                tasks.start_soon(stop)
                found = [one async for one in events(base, "/api/v1/streams/whales?minUsd=1e9")]
    assert [("bye", {"reason": "shutdown"})] == [(o["event"], o["data"]) for o in found]


async def test_quiet_streams_show_signs_of_life() -> None:
    """A heartbeat with the time, as often as the declaration says."""
    e = endpoints()["watch_whales"]
    assert e.live is not None
    assert (15, 15, 30) == tuple(
        endpoints()[f"watch_{name}"].live.heartbeat  # type: ignore[union-attr]
        for name in ("whales", "trades", "funding")
    )
    quick = replace(e, live=replace(e.live, heartbeat=0.2))
    async with world() as app:
        routes = [Route("/whales", endpoint=Stream(app, quick))]
        async with serving(Starlette(routes=routes)) as base:
            found = await take(base, "/whales?minUsd=1e9", 2)
    assert ["heartbeat", "heartbeat"] == [one["event"] for one in found]
    assert ["ts"] == list(found[0]["data"])


async def test_padding_follows_every_event_for_readers_in_blocks() -> None:
    """The published client waits for 1,024 bytes: it asks for a comment of that length."""
    async with fast() as app, served(app) as base, httpx2.AsyncClient(timeout=20) as client:
        await covered(app, 1, coin="BTC")
        address = base + "/api/v1/streams/trades?coin=BTC&padding=1024"
        text = ""
        async with client.stream("GET", address) as response:
            async for chunk in response.aiter_text():
                text += chunk
                if "\n\n:" + " " * 1024 in text and "event: trade" in text:
                    break
        assert "event: trade" in text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("trades", 400, "coin: is required"),
        ("trades?coin=NOSUCH", 400, "NOSUCH"),
        ("trades?coin=BTC&seconds=5", 400, "goes on until you close it"),
        ("trades?coin=BTC&padding=99999", 400, "0 to 4096"),
        ("whales?minUsd=-1", 400, "minUsd"),
        ("whales?minUsdd=1", 400, "Nearest: minUsd"),
        ("whales?venues=hl", 400, "Fits: minUsd, coin, padding. Example: /api/v1/streams/whales?"),
        ("funding?minDeltaBps=nan", 400, "minDeltaBps"),
        ("funding?coins=NOSUCH", 400, "coins: 'NOSUCH'"),
    ],
)
async def test_bad_questions_are_errors_not_streams(query: str, status: int, said: str) -> None:
    """In the envelope, with what would fit."""
    async with world() as app, served(app) as base, httpx2.AsyncClient(timeout=20) as client:
        response = await client.get(f"{base}/api/v1/streams/{query}")
    assert status == response.status_code
    assert said in response.json()["error"]
    assert [] == response.json()["data"]


async def test_what_comes_together_is_written_together() -> None:
    """The first print after a pause goes out at once, fifty that follow it in one piece."""
    written: list[tuple[float, bytes]] = []
    async with world() as app, anyio.create_task_group() as tasks:
        tell = _teller(app)

        async def receive() -> dict[str, Any]:
            await anyio.sleep_forever()
            return {}

        async def send(message: Any) -> None:
            written.append((anyio.current_time(), message.get("body", b"")))

        async def until(count: int) -> None:
            with anyio.fail_after(10):
                while sum(body.count(b"event: trade") for _, body in written) < count:  # noqa: ASYNC110
                    await anyio.sleep(0.001)

        asked = {"query_string": b"coin=BTC&minUsd=1e9", "headers": []}
        stream = streams(app, anyio.Event())["/api/v1/streams/trades"]
        tasks.start_soon(stream, {"type": "http", "method": "GET", **asked}, receive, send)
        with anyio.fail_after(10):
            while len(written) < 2:  # noqa: ASYNC110
                await anyio.sleep(0.001)
        tell(1)
        await until(1)
        tell(50)
        await until(51)
        tasks.cancel_scope.cancel()
    start, connected, first, rest = written
    assert b"" == start[1]
    assert b": connected\n\n" == connected[1]
    assert [1, 50] == [one[1].count(b"event: trade") for one in (first, rest)]
    assert rest[0] - first[0] >= GATHER_SECONDS * 0.9


async def test_who_does_not_read_holds_nothing_up() -> None:
    """With megabytes unread in between, the server stops and forgets the listener."""
    stopping = anyio.Event()
    async with world() as app, served(app, stopping) as base:
        tell, board = _teller(app), app.core().tape.tape("hyperliquid").board
        async with await anyio.connect_tcp("127.0.0.1", int(base.rpartition(":")[2])) as deaf:
            path = "/api/v1/streams/trades?coin=BTC&minUsd=1e9&padding=4096"
            await deaf.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            with anyio.fail_after(10):
                while not len(board):  # noqa: ASYNC110 - the board has no event of its own
                    await anyio.sleep(0.02)
            for _ in range(6):
                tell(1000)
                await anyio.sleep(GATHER_SECONDS * 1.5)
            assert 1 == len(board)
            stopping.set()
            with anyio.fail_after(4):
                while len(board):  # noqa: ASYNC110
                    await anyio.sleep(0.02)


async def test_a_stream_opened_while_the_server_stops_ends_at_once() -> None:
    """It is told why."""
    stopping = anyio.Event()
    async with world() as app, served(app, stopping) as base:
        stopping.set()
        with anyio.fail_after(5):
            found = [one async for one in events(base, "/api/v1/streams/whales?minUsd=1e9")]
    assert [("bye", {"reason": "shutdown"})] == [(o["event"], o["data"]) for o in found]


def _teller(app: App) -> Callable[[int], None]:
    """Hands that many new prints of BTC to the tape, larger than any of the market."""
    tape = app.core().tape.tape("hyperliquid")
    ids = count(10**15)

    def tell(prints: int) -> None:
        now = app.clock.now_ms()
        made = [
            TapePrint("hyperliquid", "BTC", now, "buy", 2e9, 1.0, 2e9, next(ids))
            for _ in range(prints)
        ]
        tape.take(made, now)

    return tell


async def test_listeners_leave_nothing_behind() -> None:
    """Two hundred that come and go: no listener and no open stream is left."""
    asked = b"GET /api/v1/streams/trades?coin=BTC HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with world(anon_per_minute=0) as app, served(app) as base:
        address = httpx2.URL(base)

        async def visit() -> None:
            async with await anyio.connect_tcp(address.host, address.port or 80) as socket:
                await socket.send(asked)
                assert (await socket.receive()).startswith(b"HTTP/1.1 200 ")

        for _ in range(5):
            async with anyio.create_task_group() as tasks:
                for _ in range(40):
                    tasks.start_soon(visit)
        board = app.core().tape.tape("hyperliquid").board
        with anyio.fail_after(10):
            while len(board):  # noqa: ASYNC110 - the board has no event of its own
                await anyio.sleep(0.05)
