"""Keys and quotas as their users meet them: the command, a server on loopback, real clients."""

import io
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx2
import pytest
import test_surfaces_processes as processes
from guards import message
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent
from servers import RedisProcess
from test_surfaces_processes import SIM, listening

from mmflow_mcp.access.fleet_quotas import FleetQuotas
from mmflow_mcp.access.redis_keys import KEYS, REVOKED, USED
from mmflow_mcp.access.store import FILE
from mmflow_mcp.clock import SystemClock
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces.cli import main
from mmflow_mcp.surfaces.guarding import openness

pytestmark = pytest.mark.anyio

ACCEPT = {"accept": "application/json, text/event-stream"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own, for commands and servers alike."""
    monkeypatch.setenv("MMFLOW_DATA", str(tmp_path))
    return tmp_path


@contextmanager
def serving(home: Path, *words: str, **environment: str) -> Iterator[tuple[str, "Said"]]:
    """A server with the settings it has; its address and process."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        given = {**processes.ENVIRONMENT, "MMFLOW_DATA": str(home), **environment}
        patch.setattr(processes, "ENVIRONMENT", given)
        port, child = stack.enter_context(listening("serve", *SIM, "--record", "off", *words))
        yield f"http://127.0.0.1:{port}/mcp", Said(child)


class Said:
    """A server's process, and all that it says: a full pipe would hold it up."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stderr is not None
        self._lines.extend(self._child.stderr)

    def ended(self) -> str:
        """What it said until it was told to stop."""
        self._child.send_signal(signal.SIGTERM)
        self._reader.join(20)
        said = "".join(self._lines)
        assert "Traceback" not in said
        return said


def command(*words: str) -> tuple[int, str, str]:
    """`mmflow-mcp keys ...`: its status, what it printed, what it said."""
    out, said = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(said):
        status = main(["keys", *words])
    return status, out.getvalue(), said.getvalue()


async def keys(*words: str) -> str:
    """What the command printed, asked beside a running loop; it must have ended well."""
    status, out, said = await anyio.to_thread.run_sync(command, *words)
    assert 0 == status, said
    return out


async def created(*words: str) -> str:
    """A key that the command has made: the only line on stdout."""
    (line,) = (await keys("create", *words)).splitlines()
    return line


def reading() -> dict[str, Any]:
    """A read outside of a session, which the server refuses after it was counted."""
    params = {"uri": "mmflow://venues"}
    return {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params}


async def call_until_told(url: str, key: str, era: dict[str, str]) -> None:
    """A real client lists, calls until its quota of 3 is used, is told, and lists on."""
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, **era) as client:  # type: ignore[arg-type]
            for _ in range(5):
                assert (await client.list_tools()).tools
            results = [await client.call_tool("get_markets", {}) for _ in range(4)]
            with pytest.raises(MCPError, match="Ask again in") as refused:
                await client.read_resource("mmflow://venues")
            assert (await client.list_tools()).tools
            assert (await client.list_resources()).resources
    assert [False, False, False, True] == [r.is_error for r in results]
    (block,) = results[3].content
    assert isinstance(block, TextContent)
    assert block.text.startswith("3 questions a minute are allowed for this key")
    assert 429 == refused.value.error.code


async def in_a_session(http: httpx2.AsyncClient, url: str, made: list[str]) -> list[int]:
    """How a session of the first key answers to it, to the second, and to somebody without."""
    hello = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    first, second = ({"x-api-key": key} for key in made)
    opened = await http.post(url, json=message("initialize", **hello), headers=first)
    session = {"mcp-session-id": opened.headers["mcp-session-id"]}
    listing = message("tools/list")
    answers = [
        await http.post(url, json=listing, headers={**session, **one})
        for one in (first, second, {})
    ]
    return [answer.status_code for answer in answers]


async def test_keys_are_made_used_and_revoked_while_the_server_runs(home: Path) -> None:
    """Real clients of both eras on a key each; revoked, a key is refused within seconds.

    And no log at any level has shown one, whole or misspelt.
    """
    with serving(home, "--log", "DEBUG", MMFLOW_ANON_PER_MINUTE="2") as (url, child):
        names = ("--name", "team a", "--per-minute", "3")
        made = [await created(*names) for _ in range(2)]
        for key, era in zip(made, ({}, {"mode": "legacy"}), strict=True):
            await call_until_told(url, key, era)
        wrong = made[0][:-1] + ("a" if made[0][-1] != "a" else "b")
        async with httpx2.AsyncClient(headers=ACCEPT) as http:
            # No proxy is trusted: here a new address each time would be a new allowance.
            forged = [{"x-forwarded-for": f"1.2.3.{i}"} for i in range(3)]
            told = [await http.post(url, json=reading(), headers=one) for one in forged]
            assert 429 == told[-1].status_code
            typo = await http.post(url, json=reading(), headers={"x-api-key": wrong})
            assert (401, True) == (typo.status_code, "checksum" in typo.text)
            assert [200, 404, 404] == await in_a_session(http, url, made)
            listed = await keys("list")
            revoked = await keys("revoke", made[0][4:12])
            began, answer = time.monotonic(), told[0]
            while answer.status_code != 401 and time.monotonic() - began < 30:
                await anyio.sleep(0.1)
                answer = await http.post(url, json=reading(), headers={"x-api-key": made[0]})
            assert 401 == answer.status_code
        said = child.ended()
    for key in made:
        row = next(line for line in listed.splitlines() if key[4:12] in line)
        assert ("team a" in row, "3 a minute" in row) == (True, True)
        assert 2 == row.count(":"), "created, and last used"
    assert "DEBUG" in said
    for secret in (*made, wrong, made[0][12:40], made[1][12:40]):
        assert secret not in said + listed + revoked + typo.text


async def test_a_server_that_requires_keys_never_opens(home: Path) -> None:
    """Not without one, not while the keys cannot be read; a real client with one is answered."""
    key = await created()
    good = (home / FILE).read_bytes()
    (home / FILE).write_bytes(b"damaged" * 2000)
    with serving(home, MMFLOW_REQUIRE_KEY="true") as (url, child):
        async with httpx2.AsyncClient(headers=ACCEPT) as http:
            without = await http.post(url, json=reading())
            health = await http.get(url.replace("/mcp", "/healthz"))
            nowhere = await http.get(url.replace("/mcp", "/nosuch"))
        assert [401, 200, 401] == [a.status_code for a in (without, health, nowhere)]
        async with httpx2.AsyncClient(headers={"x-api-key": key}) as http:
            damaged = await http.post(url, json=reading(), headers=ACCEPT)
            assert 503 == damaged.status_code
            (home / FILE).write_bytes(good)
            await anyio.sleep(1.1)
            async with Client(streamable_http_client(url, http_client=http)) as client:
                assert not (await client.call_tool("get_markets", {})).is_error
        said = child.ended()
    assert "this machine only, keys required: 300 questions a minute each" in said
    assert 1 == said.count("the keys cannot be read")
    assert 1 == said.count("the keys can be read again")


async def test_a_server_of_a_fleet_shares_keys_and_quotas(
    redis_server: RedisProcess, home: Path
) -> None:
    """A key made in Redis is known; what another replica counts is used up here as well."""
    server = RedisServer(redis_server.url)
    await server.client.delete(KEYS, REVOKED, USED)
    store = ("--store", redis_server.url)
    key = await created("--per-minute", "4", *store)
    other = FleetQuotas(server, SystemClock())
    with serving(home, *store) as (url, child):
        async with httpx2.AsyncClient(headers={**ACCEPT, "x-api-key": key}) as http:
            answers = []
            for _ in range(3):
                answers.append(await http.post(url, json=reading()))
                await other.take(f"key:{key[4:12]}", 4)
        child.ended()
    await other.close()
    left = [answer.headers["x-ratelimit-remaining"] for answer in answers]
    assert ["3", "1", "0"] == left
    assert 429 == answers[2].status_code
    assert key[4:12] in await keys("list", *store)
    assert not (home / FILE).exists()


def test_the_command_teaches(home: Path) -> None:
    """One sentence each, status 2 for a mistake and 1 for a place that cannot be used."""
    assert "0 keys in" in command("list")[1]
    for words, sentence in (
        (["revoke", "nosuch"], "'nosuch' is not known"),
        (["create", "--per-minute", "-1"], "-1 is out of range"),
        (["create", "--name", "a\nb"], "one line of 80 letters"),
    ):
        status, out, said = command(*words)
        assert (2, "") == (status, out)
        assert sentence in said
        assert 1 == len(said.strip().splitlines())
    assert [] == list(home.iterdir())
    with sqlite3.connect(home / FILE) as other:
        other.execute("CREATE TABLE mine (id)")
    other.close()
    status, out, said = command("create")
    assert (1, "") == (status, out)
    assert "is no file of keys" in said


def test_a_key_is_shown_once_and_revoked_by_its_text_as_well() -> None:
    """On stdout alone; whoever finds a leaked key need not look for its id, nor is it repeated."""
    status, out, said = command("create", "--name", "a")
    key = out.strip()
    assert (0, 61, False) == (status, len(key), key in said)
    assert key[4:12] in said
    status, out, said = command("revoke", key)
    assert (0, "") == (status, said)
    assert f"key {key[4:12]} is revoked" in out
    assert key not in out + command("list")[1] + command("revoke", key[:-1])[2]


def test_what_is_open_is_said_in_one_line() -> None:
    """To whom, whether keys are needed, how much is allowed."""
    assert (
        "OPEN TO THE NETWORK, no keys needed: 60 questions a minute per address,"
        " 300 questions a minute with a key"
    ) == openness(Settings(), loopback=False)
    assert "this machine only: no limit per address, 300 questions a minute with a key" == openness(
        Settings(anon_per_minute=0), loopback=True
    )
    assert "OPEN TO THE NETWORK, keys required: no limit each" == openness(
        Settings(require_key=True, key_per_minute=0), loopback=False
    )
