"""The simulated venues are one ASGI app: found by host, counted, memoised, served on loopback."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import httpx2
import pytest
from sim_shapes import NOW, make_app

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.faults import parse_fault
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.roll import find_venue, name_of, venue_names
from mmflow_mcp.sim.server import build_server

FAPI = "fapi.binance.com"
TIME = "/fapi/v1/time"


class Talk:
    """One request to the app, by hand: what was sent back, in ASGI messages."""

    def __init__(self, host: str, path: str, query: str = "", kind: str = "http") -> None:
        self.sent: list[dict[str, Any]] = []
        self.inbox: list[dict[str, Any]] = (
            [{"type": "http.request", "body": b""}]
            if kind == "http"
            else [{"type": "websocket.connect"}]
        )
        self.scope = {
            "type": kind,
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"host", host.encode())],
        }

    async def receive(self) -> dict[str, Any]:
        """The next message of the asker; then nothing until the asker is gone."""
        if self.inbox:
            return self.inbox.pop(0)
        await anyio.sleep(3600)
        return {}

    async def send(self, message: Any) -> None:
        """Keep what the app says."""
        self.sent.append(dict(message))

    @property
    def said(self) -> tuple[int, bytes]:
        """(status, body)."""
        return self.sent[0]["status"], self.sent[1]["body"]

    @property
    def texts(self) -> list[Any]:
        """What came over the socket, parsed where it is JSON."""
        found = [m["text"] for m in self.sent if m["type"] == "websocket.send"]
        return [json.loads(t) if t.startswith("{") else t for t in found]


@pytest.mark.anyio
async def test_the_host_header_names_the_venue() -> None:
    """In process the request carries the real host, a port is no part of it."""
    talk = Talk("FAPI.binance.com:443", TIME)
    await make_app()(talk.scope, talk.receive, talk.send)
    assert (200, b'{"serverTime":%d}' % NOW) == talk.said


@pytest.mark.anyio
async def test_the_first_segment_names_the_venue_too() -> None:
    """On loopback the real host is the first segment of the path."""
    talk = Talk("127.0.0.1:9100", f"/{FAPI}{TIME}")
    app = make_app()
    await app(talk.scope, talk.receive, talk.send)
    assert (200, b'{"serverTime":%d}' % NOW) == talk.said
    assert {(FAPI, TIME): 1} == app.requests


@pytest.mark.anyio
async def test_requests_are_counted_by_host_and_path() -> None:
    """Tests can tell how often a venue was asked, memo or not."""
    app = make_app()
    for _ in range(3):
        talk = Talk(FAPI, TIME)
        await app(talk.scope, talk.receive, talk.send)
    assert 3 == app.requests[FAPI, TIME]


@pytest.mark.anyio
async def test_an_unknown_host_is_404() -> None:
    """No venue, no guess; the host is named."""
    talk = Talk("127.0.0.1:9100", "/api.nowhere.example/x")
    await make_app()(talk.scope, talk.receive, talk.send)
    assert 404 == talk.said[0]
    assert b"api.nowhere.example" in talk.said[1]


def test_an_unknown_path_is_404_in_the_venues_words() -> None:
    """Deribit speaks JSON-RPC, binance's gateway HTML."""
    app = make_app()
    deribit = app.reply("GET", "www.deribit.com", "/api/v2/public/nope", b"", b"")
    binance = app.reply("GET", FAPI, "/fapi/v1/nope", b"", b"")
    assert (404, -32601) == (deribit.status, json.loads(deribit.body)["error"]["code"])
    assert (404, "text/html") == (binance.status, binance.headers["content-type"])


def test_one_question_in_one_second_is_answered_once() -> None:
    """The world moves once a second; within it the answer is the same object."""
    clock = FixedClock(NOW)
    app = SimApp(Market(1), clock)
    first = app.reply("GET", FAPI, "/fapi/v1/premiumIndex", b"", b"")
    clock.advance(0.9)
    assert first is app.reply("GET", FAPI, "/fapi/v1/premiumIndex", b"", b"")
    clock.advance(0.2)
    later = app.reply("GET", FAPI, "/fapi/v1/premiumIndex", b"", b"")
    assert NOW + 1000 == json.loads(later.body)[0]["time"]


def test_venues_are_found_by_their_files() -> None:
    """Every file that names hosts is a venue, and every host leads to its file."""
    assert {"binance", "hyperliquid", "aster", "deribit"} <= set(venue_names())
    for host, name in (
        (FAPI, "binance"),
        ("dapi.binance.com", "binance"),
        ("api.hyperliquid.xyz", "hyperliquid"),
        ("fapi.asterdex.com", "aster"),
        ("www.deribit.com", "deribit"),
    ):
        module = find_venue(host)
        assert module is not None
        assert name == name_of(module)
    assert find_venue("www.example.org") is None


def test_every_venue_of_the_market_is_rendered() -> None:
    """No venue of the market lacks its file."""
    assert set(Market(1).venues()) <= set(venue_names())


async def run_socket(app: SimApp, messages: list[object], seconds: float = 0.5) -> Talk:
    """Send messages over hyperliquid's socket and listen for a while."""
    talk = Talk("api.hyperliquid.xyz", "/ws", kind="websocket")
    talk.inbox += [{"type": "websocket.receive", "text": json.dumps(m)} for m in messages]
    with anyio.move_on_after(seconds):
        await app(talk.scope, talk.receive, talk.send)
    return talk


@pytest.mark.anyio
async def test_a_dead_socket_opens_and_stays_silent() -> None:
    """The connection is accepted; nothing is ever said."""
    app = SimApp(Market(1), FixedClock(NOW), [parse_fault("hyperliquid:dead_socket")])
    talk = await run_socket(app, [{"method": "ping"}])
    assert [{"type": "websocket.accept"}] == talk.sent


@pytest.mark.anyio
async def test_a_socket_where_there_is_none_is_refused() -> None:
    """An unknown path of a known host closes before it opens."""
    talk = Talk("api.hyperliquid.xyz", "/nothing", kind="websocket")
    await make_app()(talk.scope, talk.receive, talk.send)
    assert ["websocket.close"] == [m["type"] for m in talk.sent]


@pytest.mark.anyio
async def test_a_socket_that_is_left_ends_its_handler() -> None:
    """Nothing keeps running for a client that has gone."""
    talk = Talk("api.hyperliquid.xyz", "/ws", kind="websocket")
    talk.inbox.append({"type": "websocket.disconnect", "code": 1000})
    with anyio.fail_after(2):
        await make_app()(talk.scope, talk.receive, talk.send)
    assert "websocket.accept" == talk.sent[0]["type"]


@pytest.mark.anyio
async def test_lifespan_is_acknowledged() -> None:
    """A server that insists on lifespan can run it."""
    talk = Talk("x", "/")
    talk.scope["type"] = "lifespan"
    talk.inbox = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    await make_app()(talk.scope, talk.receive, talk.send)
    assert [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ] == talk.sent


@pytest.fixture
def served() -> Iterator[str]:
    """A simulated world on loopback in which bybit refuses and okx hangs; its address."""
    faults = [parse_fault("bybit:refused"), parse_fault("okx:timeout")]
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = build_server(SimApp(Market(1), FixedClock(NOW), faults))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"127.0.0.1:{sock.getsockname()[1]}"
    server.should_exit = True
    server.force_exit = True
    thread.join(5)
    sock.close()


@pytest.mark.anyio
async def test_another_process_can_ask_over_http(served: str) -> None:
    """Real host and path behind the loopback address, with query and headers."""
    async with httpx2.AsyncClient() as client:
        found = await client.get(f"http://{served}/{FAPI}/fapi/v1/premiumIndex?symbol=BTCUSDT")
    assert "BTCUSDT" == found.json()["symbol"]
    assert "1" == found.headers["X-MBX-USED-WEIGHT-1M"]


@pytest.mark.anyio
async def test_a_refused_request_is_closed_unanswered(
    served: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """On loopback the connection breaks before any answer, and the server says nothing."""
    async with httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.TransportError):
            await client.get(f"http://{served}/api.bybit.com/v5/market/time")
        alive = await client.get(f"http://{served}/{FAPI}{TIME}")
    assert 200 == alive.status_code
    assert ("", "") == capfd.readouterr()


@pytest.mark.anyio
async def test_a_hanging_venue_never_answers(served: str) -> None:
    """The client's own deadline ends it."""
    async with httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(f"http://{served}/www.okx.com/api/v5/public/time", timeout=0.3)


@pytest.mark.anyio
async def test_websockets_are_served_on_loopback(served: str) -> None:
    """Subscribe, acknowledgement and replay through a real connection."""
    url = f"ws://{served}/api.hyperliquid.xyz/ws"
    asked = {"type": "trades", "coin": "BTC"}
    async with httpx2.AsyncClient() as client, client.websocket(url) as ws:
        assert "Websocket connection established." == await ws.receive_text()
        await ws.send_json({"method": "subscribe", "subscription": asked})
        assert {
            "channel": "subscriptionResponse",
            "data": {"method": "subscribe", "subscription": asked},
        } == await ws.receive_json()
        assert "trades" == (await ws.receive_json())["channel"]


def test_a_child_process_serves_and_prints_nothing() -> None:
    """`serve` is all a benchmark needs; stopped by a signal it still says nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"from mmflow_mcp.sim.server import serve; serve({port}, seed=2)"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        body = wait_for(f"http://127.0.0.1:{port}/{FAPI}/fapi/v1/premiumIndex?symbol=BTCUSDT")
        listing = next(i for i in Market(2).listings("binance") if i.symbol == "BTCUSDT")
        assert Market(2).perp(listing, body["time"]).mark == float(body["markPrice"])
    finally:
        child.terminate()
        said = child.communicate(timeout=10)
    assert (b"", b"") == said


def wait_for(url: str) -> Any:
    """The parsed answer, as soon as there is one."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return httpx2.get(url).json()
        except httpx2.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
