"""Sockets with the house's errors: refused, closed, broken in the middle of a frame, unrecorded."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream
from wires import RECORDINGS

from mmflow_mcp.clock import SystemClock
from mmflow_mcp.errors import (
    Unrecorded,
    VenueBlocked,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRefused,
)
from mmflow_mcp.tape.hub import Hub
from mmflow_mcp.tape.readings import net_taker_usd, recent_prints
from mmflow_mcp.upstream.asgi import App, AsgiTransport
from mmflow_mcp.upstream.client import Upstream
from mmflow_mcp.upstream.replay import Recordings, replay_app

pytestmark = pytest.mark.anyio
URL = "wss://ws.venue.test/feed"


@asynccontextmanager
async def client(base: httpx2.AsyncBaseTransport | App, kind: str = "sim") -> AsyncIterator[Any]:
    """A client over a transport or an app; (upstream, tasks)."""
    async with anyio.create_task_group() as tasks:
        transport = (
            base if isinstance(base, httpx2.AsyncBaseTransport) else AsgiTransport(base, tasks)
        )
        upstream = Upstream(transport, kind=kind, clock=SystemClock(), tasks=tasks)
        yield upstream, tasks
        await upstream.aclose()
        tasks.cancel_scope.cancel()


async def listen(upstream: Upstream, url: str = URL) -> list[str | bytes]:
    """All that comes until it fails; the failure is raised."""
    got: list[str | bytes] = []
    async with upstream.stream(url) as stream:
        with anyio.fail_after(5):
            while True:
                try:
                    got.append(await stream.receive())
                except VenueError:
                    if got:
                        return got
                    raise


def answering(status: int, **headers: str) -> httpx2.MockTransport:
    """A host that answers the handshake with a status."""
    return httpx2.MockTransport(lambda _: httpx2.Response(status, headers=headers))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (451, VenueBlocked),
        (403, VenueBlocked),
        (429, VenueRateLimited),
        (503, VenueHttp),
        (200, VenueRefused),
    ],
)
async def test_a_refused_handshake(status: int, kind: type[VenueError]) -> None:
    """The same words as for a refused request."""
    async with client(answering(status)) as (upstream, _):
        with pytest.raises(kind):
            await listen(upstream)


async def test_no_connection() -> None:
    """A closed port is refused, without an address in the words."""

    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("all attempts to 10.0.0.1 failed", request=request)

    async with client(httpx2.MockTransport(refuse)) as (upstream, _):
        with pytest.raises(VenueRefused) as caught:
            await listen(upstream)
    assert "10.0.0.1" not in caught.value.reason


async def test_a_venue_that_closes_and_one_that_breaks() -> None:
    """What came before is read; then the failure."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "one"})
        if scope["path"] == "/close":
            await send({"type": "websocket.close", "code": 1012})
        else:
            raise ConnectionResetError

    async with client(app) as (upstream, _):
        for path in ("/close", "/break"):
            assert ["one"] == await listen(upstream, f"wss://ws.venue.test{path}")


async def test_a_frame_that_is_cut_in_the_middle() -> None:
    """A real connection that ends inside a frame: what was whole is read, then it is broken."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
            lines = head.decode().split("\r\n")
            key = next(v for v in lines if v.lower().startswith("sec-websocket-key"))
            magic = key.split(": ")[1] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(magic.encode()).digest()).decode()  # noqa: S324
            await stream.send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
            )
            # A whole text of five bytes, then one of a hundred that ends after three.
            await stream.send(b"\x81\x05whole" + b"\x81\x64cut")

    async with anyio.create_task_group() as tasks:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - it is anyio's
        tasks.start_soon(listener.serve, serve)
        async with client(httpx2.AsyncHTTPTransport()) as (upstream, _):
            assert ["whole"] == await listen(upstream, f"ws://127.0.0.1:{port}/")
        tasks.cancel_scope.cancel()


async def test_a_large_frame_is_whole() -> None:
    """Contexts of a whole exchange are larger than 65 KB."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "x" * 1_000_000})

    async with client(app) as (upstream, _):
        assert [1_000_000] == [len(text) for text in await listen(upstream)]


async def test_an_error_of_the_reader_passes() -> None:
    """What the block raises is not taken for the socket's."""

    async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async with client(app) as (upstream, _):
        with pytest.raises(ZeroDivisionError):
            async with upstream.stream(URL):
                raise ZeroDivisionError


def frames(path: Path, *texts: object) -> None:
    """A recording of hyperliquid's socket."""
    rows = [
        {"url": "wss://api.hyperliquid.xyz/ws", "dir": "in", "text": json.dumps(text)}
        for text in texts
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))


async def test_the_tape_under_replay(tmp_path: Path) -> None:
    """The recorded prints stand in the list; nothing is complete, and no sum is made of them."""
    at = 1_730_160_006_192
    row = {"coin": "BTC", "side": "A", "px": "70000.0", "sz": "2", "time": at, "tid": 5}
    frames(tmp_path / "a.jsonl", {"channel": "trades", "data": [row]})
    async with client(replay_app(Recordings([tmp_path])), "replay") as (upstream, tasks):
        hub = Hub(upstream, SystemClock(), tasks)
        assert [] == recent_prints(hub, "hyperliquid").prints
        with hub.listen("hyperliquid") as listener, anyio.fail_after(5):
            assert 1 == len((await listener.batch()).items)
        seen = recent_prints(hub, "hyperliquid")
        assert [("BTC", "sell", 140_000.0)] == [(p.coin, p.side, p.usd) for p in seen.prints]
        assert None is seen.since
        assert "none" == net_taker_usd(hub, "hyperliquid", "BTC").coverage
        await hub.close()


async def test_a_recording_without_the_socket_says_so(tmp_path: Path) -> None:
    """Asked once, and the reason stays."""
    frames(tmp_path / "a.jsonl", {"channel": "pong"})
    async with client(replay_app(Recordings([tmp_path])), "replay") as (upstream, tasks):
        hub = Hub(upstream, SystemClock(), tasks)
        with pytest.raises(Unrecorded):
            await listen(upstream)
        said = await hub.settle("coinbase", ["BTC"])
        assert said is not None
        assert said.startswith("unrecorded: WEBSOCKET ws-feed.exchange.coinbase.com")
        assert said == recent_prints(hub, "coinbase").reason
        await hub.close()


async def test_the_recorded_sockets_feed_the_tape() -> None:
    """The recordings of both venues, as the replay serves them."""
    if not RECORDINGS.exists():
        pytest.skip("the recordings are not on this machine")
    async with client(replay_app(Recordings([RECORDINGS])), "replay") as (upstream, tasks):
        hub = Hub(upstream, SystemClock(), tasks)
        for venue, coin, least in (("hyperliquid", "BTC", 4), ("coinbase", "SKL", 0)):
            await hub.settle(venue, [coin], seconds=0.5)
            assert least <= recent_prints(hub, venue, coin, 0.0).total
        await hub.settle("hyperliquid", seconds=0.5, channel="contexts")
        assert "MOODENG" in hub.rates("hyperliquid").latest
        await hub.close()
