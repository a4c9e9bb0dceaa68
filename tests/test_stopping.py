"""SIGTERM while much is open: what was asked is answered, streams say bye, nothing is left."""

import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
import test_surfaces_processes as processes
import uvicorn
from mcp import Client
from servers import RedisProcess, port_of, redis_process
from test_surfaces_processes import listening

from mmflow_mcp.clock import SystemClock
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import market_of
from mmflow_mcp.sim.server import build_server
from mmflow_mcp.surfaces import stopping

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send"),
]

QUESTION = "/api/v1/perps/funding?coins=BTC&venues=bybit"


class Venues:
    """Simulated venues of which Bybit answers no sooner than it is let."""

    def __init__(self) -> None:
        self.let = anyio.Event()
        self._inner: Any = SimApp(market_of(1), SystemClock())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer like the real ones, in time."""
        if scope["type"] == "http" and "bybit" in scope["path"]:
            await self.let.wait()
        await self._inner(scope, receive, send)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """The source that they are, for as long as the block runs."""
        server = build_server(self, port=0)  # type: ignore[arg-type] # as good as one
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve)
            port = await port_of(server)
            try:
                yield f"sim:http://127.0.0.1:{port}"
            finally:
                self.let.set()
                server.should_exit = server.force_exit = True


@contextmanager
def serving(home: Path, source: str, *words: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A server on those venues; its address and process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "ENVIRONMENT", {**processes.ENVIRONMENT, "MMFLOW_DATA": str(home)})
        # A machine that is busy is given time.
        given = ("--source", source, "--deadline", "60", *words)
        with listening("serve", *given) as (port, child):
            yield f"http://127.0.0.1:{port}", child


async def ended(child: "subprocess.Popen[str]") -> str:
    """What the process said until its end."""
    return (await anyio.to_thread.run_sync(lambda: child.communicate(timeout=60)))[1]


async def leased(redis: RedisProcess | None, expected: int) -> bool:
    """Whether so many recorders hold the lease, soon; without a Redis it is nobody's business."""
    if redis is None:
        return True
    server = RedisServer(redis.url)
    for _ in range(200):
        found = await server.client.exists("mmflow:sim:lease:recorder")
        if found == expected or not expected:
            break
        await anyio.sleep(0.05)
    await server.close()
    return bool(found == expected)


class Open:
    """Everything that may be open, and how each ended."""

    def __init__(self, base: str) -> None:
        self._base = base
        self.told: dict[str, Any] = {}

    async def rest(self) -> None:
        """A question over REST."""
        async with httpx2.AsyncClient(timeout=60) as client:
            answer = await client.get(self._base + QUESTION)
        self.told["rest"] = answer.status_code, len(answer.json()["data"])

    async def mcp(self, name: str, era: dict[str, Any]) -> None:
        """A question over MCP."""
        async with Client(f"{self._base}/mcp", **era) as client:
            # To judge its answer a client reads the list, for which it would come back later.
            await client.list_tools()
            result = await client.call_tool("get_oi", {"coins": ["BTC"], "venues": ["bybit"]})
        assert result.structured_content is not None
        self.told[name] = result.is_error, result.structured_content["meta"]["partial"]

    async def watch(self) -> None:
        """A question that would wait for most of a minute."""
        async with Client(f"{self._base}/mcp") as client:
            await client.list_tools()
            result = await client.call_tool("watch_whales", {"seconds": 50, "minUsd": 1e9})
        assert result.structured_content is not None
        self.told["watch"] = result.structured_content["data"]["ended"]

    async def stream(self) -> None:
        """An event stream."""
        async with httpx2.AsyncClient(timeout=60) as client:
            url = f"{self._base}/api/v1/streams/trades?coin=BTC"
            async with client.stream("GET", url) as answer:
                self.told["stream"] = [line async for line in answer.aiter_lines() if line][-2:]

    async def listen(self) -> None:
        """A listen stream of MCP."""
        headers = {"accept": "application/json, text/event-stream"}
        async with httpx2.AsyncClient(timeout=60, headers=headers) as client:
            opened = await client.post(f"{self._base}/mcp", json=hello())
            session = {"mcp-session-id": opened.headers["mcp-session-id"]}
            async with client.stream("GET", f"{self._base}/mcp", headers=session) as answer:
                async for _ in answer.aiter_bytes():
                    pass
                self.told["listen"] = answer.status_code


def hello() -> dict[str, Any]:
    """What a session of the 2025 era begins with."""
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


async def asked(base: str, text: str, least: int) -> None:
    """Wait until so many questions are under way, as the server's own numbers tell."""
    async with httpx2.AsyncClient() as client:
        with anyio.fail_after(30):
            while True:
                lines = (await client.get(f"{base}/metrics")).text.splitlines()
                found = [float(line.split()[-1]) for line in lines if line.startswith(text)]
                if sum(found) >= least:
                    return
                await anyio.sleep(0.05)


async def closed(base: str) -> None:
    """Wait until the server takes no more connections: it has seen the first signal."""
    async with httpx2.AsyncClient() as client:
        with anyio.fail_after(30):
            while True:
                try:
                    await client.get(f"{base}/healthz", headers={"connection": "close"})
                except httpx2.HTTPError:
                    return
                await anyio.sleep(0.02)


async def test_what_is_open_ends_well(tmp_path: Path) -> None:
    """Questions of all faces are answered, waits and streams end, status 0, not a line of log.

    Where a Redis can be started the recorder's lease is given back: the next one need not wait.
    """
    venues = Venues()
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(redis_process())
        source = await stack.enter_async_context(venues.listening())
        kept = ("--record", "light", "--store", redis.url) if redis else ("--record", "off")
        base, child = await anyio.to_thread.run_sync(
            stack.enter_context, serving(tmp_path, source, *kept)
        )
        one = Open(base)
        async with anyio.create_task_group() as tasks:
            for begin in (one.watch, one.stream, one.listen):
                tasks.start_soon(begin)
            await asked(base, 'mmflow_streams_open{endpoint="watch_trades"}', 1)
            await asked(base, 'mmflow_streams_open{endpoint="mcp"}', 1)
            await asked(base, 'mmflow_questions_running{face="mcp"}', 1)
            tasks.start_soon(one.rest)
            tasks.start_soon(one.mcp, "2026", {})
            tasks.start_soon(one.mcp, "2025", {"mode": "legacy"})
            await asked(base, "mmflow_questions_running", 4)
            assert await leased(redis, 1)
            child.send_signal(signal.SIGTERM)
            await closed(base)
            venues.let.set()
            began = time.monotonic()
            said = await ended(child)
        spent = time.monotonic() - began
        assert await leased(redis, 0)
    assert (200, 1) == one.told["rest"]
    assert [(False, False)] * 2 == [one.told["2026"], one.told["2025"]]
    assert ("closed", 200) == (one.told["watch"], one.told["listen"])
    assert "event: bye" == one.told["stream"][0]
    assert {"reason": "shutdown"} == json.loads(one.told["stream"][1].removeprefix("data: "))
    assert 0 == child.returncode
    assert spent < 40
    (line,) = said.splitlines()
    assert "MCP at http" in line


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """Whatever is under way; the first alone would have waited for the answer."""
    venues = Venues()
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(venues.listening())
        base, child = await anyio.to_thread.run_sync(
            stack.enter_context, serving(tmp_path, source, "--record", "off")
        )
        async with anyio.create_task_group() as tasks:

            async def question() -> None:
                async with httpx2.AsyncClient(timeout=60) as client:
                    with pytest.raises(httpx2.HTTPError):
                        await client.get(base + QUESTION)

            tasks.start_soon(question)
            await asked(base, "mmflow_questions_running", 1)
            child.send_signal(signal.SIGTERM)
            await closed(base)
            began = time.monotonic()
            child.send_signal(signal.SIGINT)
            said = await ended(child)
            spent = time.monotonic() - began
    assert 128 + signal.SIGINT == child.returncode
    assert "ended at once by a second signal" in said
    assert spent < 40


async def test_a_question_on_its_way_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a connection that was open and idle; then it ends, and the server waits no longer."""
    monkeypatch.setattr(stopping, "LAST_SECONDS", 600.0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "http" == scope["type"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None)
    server = stopping.Server(config, anyio.Event())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        with anyio.fail_after(60):
            port = await port_of(server)
            async with await anyio.connect_tcp("127.0.0.1", port) as line:
                told = []
                for place in range(2):
                    if place:
                        server.stop()
                        while server.servers[0].is_serving():  # noqa: ASYNC110 - nor here
                            await anyio.sleep(0.02)
                    await line.send(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
                    told.append((await line.receive()).lower())
                with pytest.raises(anyio.EndOfStream):
                    await line.receive()
            while server.server_state.connections:  # noqa: ASYNC110 - nor here
                await anyio.sleep(0.02)
    assert [False, True] == [b"connection: close" in one for one in told]
    assert [True, True] == [one.startswith(b"http/1.1 204") for one in told]
