"""The whole client over a small base: every layer at work, HTTP and WebSocket the same way."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream
from fakes import HOST, NOW, Answer, Scripted, call
from httpx2.websockets import WebSocketUpgradeError

from mmflow_mcp.clock import SystemClock
from mmflow_mcp.errors import (
    VenueBlocked,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRefused,
    VenueTimeout,
)
from mmflow_mcp.upstream.asgi import AsgiTransport
from mmflow_mcp.upstream.budget import Meter, OverBudget
from mmflow_mcp.upstream.client import Upstream
from mmflow_mcp.upstream.network import NetworkTransport, RemoteSimTransport
from mmflow_mcp.upstream.wire import ask_json

pytestmark = pytest.mark.anyio

GOOD: Callable[[], Answer] = lambda: httpx2.Response(200, content=b'{"rows":[1]}')


class World:
    """A client over answers in turn; the last one is given for ever."""

    def __init__(self, upstream: Upstream, base: Scripted) -> None:
        self.upstream = upstream
        self.base = base

    async def ask(self, deadline: float = 8.0, **how: Any) -> tuple[Any, str | None]:
        """The document of one question and why it is stale."""
        until = self.upstream.clock.monotonic() + deadline
        wire, stale = await self.upstream.fetch(call(**how), until)
        return wire.doc, stale


@asynccontextmanager
async def world(*answers: Callable[[], Answer], **how: Any) -> AsyncIterator[World]:
    """A client of one venue."""
    left = list(answers)
    base = Scripted(lambda _: (left.pop(0) if len(left) > 1 else left[0])())
    settings: dict[str, Any] = {"venues": {HOST: "venue"}, "attempt_seconds": 2.0, **how}
    async with anyio.create_task_group() as tasks:
        upstream = Upstream(base, kind="sim", clock=SystemClock(), tasks=tasks, **settings)
        yield World(upstream, base)
        await upstream.aclose()
        tasks.cancel_scope.cancel()


class TestLayers:
    """What each layer adds is there, in its place."""

    async def test_a_question_is_sent_as_a_read_of_json(self) -> None:
        """GET without a body, POST with one; both say what they take."""
        async with world(GOOD) as w:
            await w.ask()
            asked = ask_json(f"https://{HOST}/info", {"type": "x"}, label="x")
            await w.upstream.fetch(asked, w.upstream.clock.monotonic() + 8)
        got, posted = w.base.asked
        assert ("GET", "POST") == (got.method, posted.method)
        assert {"application/json"} == {r.headers["accept"] for r in (got, posted)}
        assert "gzip, deflate" == got.headers["accept-encoding"]
        assert "content-type" not in got.headers
        assert ("application/json", b'{"type":"x"}') == (
            posted.headers["content-type"],
            await posted.aread(),
        )

    async def test_the_cache_lies_on_top(self) -> None:
        """The second question is answered from memory, and `peek` knows it."""
        async with world(GOOD) as w:
            assert w.upstream.peek(call()) is None
            first, second = await w.ask(), await w.ask()
            wire = w.upstream.peek(call())
        assert first == second == ({"rows": [1]}, None)
        assert wire is not None
        assert 1 == len(w.base.asked)

    async def test_the_retry_lies_below_the_breaker(self) -> None:
        """Two broken attempts and a good one are one answer: the breaker hears of no failure."""
        broken = lambda: httpx2.ReadError("x")
        async with world(broken, lambda: httpx2.Response(502), GOOD) as w:
            assert ({"rows": [1]}, None) == await w.ask()
        assert 3 == len(w.base.asked)
        health = w.upstream.health.of("venue")
        assert ("ok", 3, 2) == (health.state, health.requests, health.failures)

    async def test_the_breaker_opens_after_three_questions(self) -> None:
        """Nine attempts went out; the fourth question is refused at once."""
        async with world(lambda: httpx2.Response(503)) as w:
            for _ in range(4):
                with pytest.raises(VenueHttp):
                    await w.ask()
        assert 9 == len(w.base.asked)

    async def test_the_budget_counts_every_attempt(self) -> None:
        """Retries spend weight too, and what is left decides."""
        meters = (Meter((HOST,), 3, 60),)
        async with world(lambda: httpx2.Response(500), GOOD, meters=meters) as w:
            await w.ask(path="/a")
            await w.ask(path="/b")
            with pytest.raises(OverBudget):
                await w.ask(path="/c")
        assert 3 == len(w.base.asked)

    async def test_a_block_is_asked_once(self) -> None:
        """Not retried, and remembered."""
        async with world(lambda: httpx2.Response(451)) as w:
            for _ in range(3):
                with pytest.raises(VenueBlocked):
                    await w.ask()
        assert 1 == len(w.base.asked)

    async def test_retry_after_is_obeyed_across_questions(self) -> None:
        """A pause that does not fit refuses this question and the next, without a request."""
        limited = lambda: httpx2.Response(429, headers={"retry-after": "30"})
        async with world(limited, GOOD, meters=(Meter((HOST,), 100, 1),)) as w:
            for path in ("/a", "/b"):
                with pytest.raises(VenueRateLimited) as failure:
                    await w.ask(path=path)
                assert 29 < (failure.value.retry_after or 0) <= 30
        assert 1 == len(w.base.asked)

    async def test_a_rate_limit_inside_200_is_not_cached(self) -> None:
        """Valid JSON that the venue's hook calls a refusal is an error, then the truth serves."""

        def refusal(status: int, body: bytes) -> VenueError | None:
            return VenueRateLimited(status, "too many", 0.01) if b"10006" in body else None

        refused = lambda: httpx2.Response(200, content=b'{"retCode":10006}')
        async with world(refused, GOOD, refusals={HOST: refusal}) as w:
            assert ({"rows": [1]}, None) == await w.ask()
            assert 2 == len(w.base.asked)
            assert ({"rows": [1]}, None) == await w.ask()
        assert 2 == len(w.base.asked)

    async def test_200_askers_are_one_request(self) -> None:
        """Through the whole client."""

        async def slow(_: httpx2.Request) -> httpx2.Response:
            await anyio.sleep(0.03)
            return httpx2.Response(200, content=b"[7]")

        got: list[Any] = []
        async with world(GOOD) as w:
            w.base._script = slow

            async def one() -> None:
                got.append(await w.ask())

            async with anyio.create_task_group() as askers:
                for _ in range(200):
                    askers.start_soon(one)
        assert (200 * [([7], None)], 1) == (got, len(w.base.asked))

    async def test_a_venue_that_hangs_is_known_before_the_deadline(self) -> None:
        """The failure comes while the question still runs, so that an old list can stand in."""

        async def never(_: httpx2.Request) -> httpx2.Response:
            await anyio.sleep_forever()
            raise AssertionError

        async with world(GOOD) as w:
            listed = {"reference": True, "fresh": -1.0}
            await w.ask(**listed)
            w.base._script = never
            with anyio.fail_after(1.0):
                doc, stale = await w.ask(1.0, **listed)
        assert ({"rows": [1]}, "timeout: no answer within 0.9 s") == (doc, stale)
        assert "failing" == w.upstream.health.of("venue").state


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An app on both: HTTP tells its path, a socket sends back what it hears, with its path."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "read_at": NOW})
        body = json.dumps({"path": scope["path"]}).encode()
        await send({"type": "http.response.body", "body": body})
        return
    if scope["path"] == "/closed":
        await send({"type": "websocket.http.response.start", "status": 599, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"{scope['path']} {message['text']}"})


@asynccontextmanager
async def echoing() -> AsyncIterator[Upstream]:
    """A client over that app."""
    async with anyio.create_task_group() as tasks:
        base = AsgiTransport(echo, tasks)
        upstream = Upstream(base, kind="sim", clock=SystemClock(), tasks=tasks)
        yield upstream
        await upstream.aclose()
        tasks.cancel_scope.cancel()


class TestSockets:
    """WebSockets go through the same layers to the same base."""

    async def test_http_and_sockets_meet_at_one_base(self) -> None:
        """One app hears both; the socket works while HTTP is asked."""
        async with echoing() as upstream, upstream.socket(f"wss://{HOST}/trades") as socket:
            await socket.send_text("one")
            assert "/trades one" == await socket.receive_text()
            wire, _ = await upstream.fetch(call("/v1/x"), upstream.clock.monotonic() + 8)
            assert ({"path": "/v1/x"}, NOW) == (wire.doc, wire.fetched_at)
            await socket.send_text("two")
            assert "/trades two" == await socket.receive_text()

    async def test_sockets_do_not_mix(self) -> None:
        """Several at once each hear their own path."""
        heard: dict[str, str] = {}

        async def one(path: str) -> None:
            async with upstream.socket(f"wss://{HOST}{path}") as socket:
                await anyio.sleep(0.01)
                await socket.send_text("x")
                heard[path] = await socket.receive_text()

        async with echoing() as upstream, anyio.create_task_group() as tasks:
            for path in ("/a", "/b", "/c"):
                tasks.start_soon(one, path)
        assert {path: f"{path} x" for path in ("/a", "/b", "/c")} == heard

    async def test_every_layer_is_passed(self) -> None:
        """The handshake reaches the base through all six, none of which answers for it."""
        passed: list[str] = []
        async with echoing() as upstream:
            layer: Any = upstream._cache
            while hasattr(layer, "_inner"):
                name = type(layer).__name__

                def noting(
                    request: httpx2.Request, name: str = name, inner: Any = layer._inner
                ) -> Any:
                    passed.append(name)
                    return inner.handle_async_request(request)

                below = layer._inner
                layer._inner = httpx2.MockTransport(lambda _: httpx2.Response(500))
                layer._inner.handle_async_request = noting
                layer = below
            async with upstream.socket(f"wss://{HOST}/x") as socket:
                await socket.send_text("y")
                assert "/x y" == await socket.receive_text()
        assert [
            "CacheTransport",
            "BreakerTransport",
            "RetryTransport",
            "BudgetTransport",
            "TrafficTransport",
            "JudgeTransport",
        ] == passed

    async def test_a_refused_handshake_is_said_and_costs_the_host_nothing(self) -> None:
        """The answer to the handshake reaches who asked; HTTP to the host goes on."""
        async with echoing() as upstream:
            for _ in range(4):
                with pytest.raises(WebSocketUpgradeError) as failure:
                    async with upstream.socket(f"wss://{HOST}/closed"):
                        pass
                assert 599 == failure.value.response.status_code
            wire, _ = await upstream.fetch(call(), upstream.clock.monotonic() + 8)
        assert {"path": "/v1/rates"} == wire.doc


Served = Callable[[SocketStream], Any]


@asynccontextmanager
async def loopback(
    serve: Served, *, attempt_seconds: float = 4.0
) -> AsyncIterator[tuple[Upstream, int]]:
    """A client on real connections, and a server on loopback that does what it is told."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no query
        tasks.start_soon(listener.serve, serve)
        base = NetworkTransport(user_agent="mmflow-mcp/test (+contact)")
        clock = SystemClock()
        upstream = Upstream(
            base, kind="live", clock=clock, tasks=tasks, attempt_seconds=attempt_seconds
        )
        try:
            yield upstream, port
        finally:
            await upstream.aclose()
            tasks.cancel_scope.cancel()


async def fetch(upstream: Upstream, port: int) -> Any:
    """The document of one question."""
    asked = call(host=f"127.0.0.1:{port}")
    plain = type(asked)(asked.url.replace("https://", "http://"), fresh=-1)
    wire, _ = await upstream.fetch(plain, upstream.clock.monotonic() + 8)
    return wire.doc


class TestNetwork:
    """Real connections, on loopback."""

    async def test_our_name_is_on_every_request_and_connections_are_kept(self) -> None:
        """The second request comes on the connection of the first."""
        heard: list[bytes] = []
        connections = 0

        async def serve(stream: SocketStream) -> None:
            nonlocal connections
            connections += 1
            async with stream:
                try:
                    while True:
                        heard.append(await stream.receive())
                        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]")
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    pass

        async with loopback(serve) as (upstream, port):
            assert [[], []] == [await fetch(upstream, port) for _ in "12"]
        assert (1, 2) == (connections, len(heard))
        assert all(b"user-agent: mmflow-mcp/test (+contact)\r\n" in h.lower() for h in heard)

    async def test_headers_and_then_silence_is_a_time_out(self) -> None:
        """A body that never comes ends with the attempt and is not retried."""
        connections = 0

        async def serve(stream: SocketStream) -> None:
            nonlocal connections
            connections += 1
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n[1,")
            await anyio.sleep_forever()

        async with loopback(serve, attempt_seconds=1.0) as (upstream, port):
            with anyio.fail_after(20), pytest.raises(VenueTimeout) as failure:
                await fetch(upstream, port)
        assert ("timeout: no answer within 1 s", 1) == (failure.value.reason, connections)

    async def test_a_body_that_breaks_off_is_asked_again(self) -> None:
        """A closed connection in the middle is a broken read, not half an answer."""
        connections = 0

        async def serve(stream: SocketStream) -> None:
            nonlocal connections
            connections += 1
            await stream.receive()
            body = b"[1,2]" if connections > 1 else b"[1,"
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n" + body)
            await stream.aclose()

        async with loopback(serve) as (upstream, port):
            assert [1, 2] == await fetch(upstream, port)
        assert 2 == connections

    async def test_nobody_listening_is_refused(self) -> None:
        """And the reason tells no address."""
        async with loopback(lambda _: None) as (upstream, _):
            with pytest.raises(VenueRefused) as failure:
                await fetch(upstream, 9)
        assert "refused: no connection could be made" == failure.value.reason

    async def test_what_is_no_http_is_refused(self) -> None:
        """Bytes of another protocol are a broken connection, and no crash."""

        async def serve(stream: SocketStream) -> None:
            await stream.receive()
            await stream.send(b"SSH-2.0-OpenSSH\r\n\r\n")
            await stream.aclose()

        async with loopback(serve) as (upstream, port):
            with pytest.raises(VenueRefused):
                await fetch(upstream, port)


class OnePool:
    """Stands where a pool per host stands: one transport for every host."""

    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        self._transport = transport

    def of(self, host: str) -> httpx2.AsyncBaseTransport:
        """The transport."""
        return self._transport


class TestRemoteSim:
    """Simulated venues that run elsewhere."""

    @pytest.mark.parametrize(
        "base,asked,expected,host",
        [
            (
                "http://127.0.0.1:9100",
                "https://api.venue.test/v1/x?a=1%2C2",
                "http://127.0.0.1:9100/api.venue.test/v1/x?a=1%2C2",
                "127.0.0.1:9100",
            ),
            (
                "http://127.0.0.1:9100/",
                "wss://stream.venue.test:9443/ws",
                "ws://127.0.0.1:9100/stream.venue.test/ws",
                "127.0.0.1:9100",
            ),
            (
                "https://sim.example/base/",
                "https://api.venue.test/v1",
                "https://sim.example/base/api.venue.test/v1",
                "sim.example",
            ),
            (
                "https://sim.example",
                "wss://stream.venue.test/ws",
                "wss://sim.example/stream.venue.test/ws",
                "sim.example",
            ),
        ],
    )
    async def test_the_real_host_becomes_part_of_the_path(
        self, base: str, asked: str, expected: str, host: str
    ) -> None:
        """Scheme, port, query and Host follow; sockets are as secure as the base."""
        remote = RemoteSimTransport(base)
        inner = Scripted(lambda _: httpx2.Response(200))
        remote._pools = OnePool(inner)  # type: ignore[assignment]
        await remote.handle_async_request(httpx2.Request("GET", asked))
        (moved,) = inner.asked
        assert (expected, [host]) == (str(moved.url), moved.headers.get_list("host"))

    async def test_a_posted_question_keeps_its_body(self) -> None:
        """And its extensions, which layers below may read."""
        remote = RemoteSimTransport("http://127.0.0.1:9100")
        inner = Scripted(lambda _: httpx2.Response(200))
        remote._pools = OnePool(inner)  # type: ignore[assignment]
        sent = httpx2.Request(
            "POST", "https://api.venue.test/info", content=b"{}", extensions={"deadline": 3.0}
        )
        await remote.handle_async_request(sent)
        (moved,) = inner.asked
        assert (b"{}", "2", 3.0) == (
            await moved.aread(),
            moved.headers["content-length"],
            moved.extensions["deadline"],
        )
