"""What a stranger meets in the first hour: taken ports, closed streams, words left out."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
import uvicorn
from starlette.applications import Starlette
from test_surfaces_processes import COMMAND, ENVIRONMENT, INITIALIZE

from mmflow_mcp.app import running
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.settings import from_environment
from mmflow_mcp.surfaces import simulate
from mmflow_mcp.surfaces.cli import main
from mmflow_mcp.surfaces.http import opening_line
from mmflow_mcp.surfaces.stopping import Server

ROOT = Path(__file__).resolve().parents[1]


async def opened(port: int) -> list[int]:
    """The ports that a server of nothing says it listens on, each shown to be open."""
    said: list[int] = []
    heard = anyio.Event()

    def hear(number: int) -> None:
        said.append(number)
        heard.set()

    config = uvicorn.Config(Starlette(), host="127.0.0.1", port=port, log_config=None)
    server = Server(config, anyio.Event(), hear)
    async with anyio.create_task_group() as tasks:

        async def look() -> None:
            with anyio.fail_after(30):
                await heard.wait()
                stream = await anyio.connect_tcp("127.0.0.1", said[0])
            await stream.aclose()
            server.stop()

        tasks.start_soon(look)
        try:
            await server.serve()
        except SystemExit:
            tasks.cancel_scope.cancel()
    return said


@pytest.mark.anyio
async def test_serve_says_where_it_listens_once_it_does() -> None:
    """The port that it got for 0; nothing where the port was taken."""
    (port,) = await opened(0)
    assert port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert [] == await opened(taken.getsockname()[1])


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    """As it must be pasted into a client."""
    settings = from_environment({}, source="sim")
    assert "MCP at http://[::1]:8787/mcp, REST at http://[::1]:8787/api/v1 (this machine" in (
        opening_line(settings, "::1", 8787)
    )
    assert "MCP at http://127.0.0.1:1/mcp" in opening_line(settings, "127.0.0.1", 1)


def test_sim_says_where_it_listens_once_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The port that it got for 0; where it is taken a sentence tells of --port."""
    served: list[int] = []

    def serve(*, sock: socket.socket, **_: object) -> None:
        served.append(sock.getsockname()[1])
        sock.close()

    monkeypatch.setattr(simulate, "serve", serve)
    assert 0 == main(["sim", "--port", "0"])
    found = re.findall(r"http://127\.0\.0\.1:(\d+)/", capsys.readouterr().err)
    assert [*map(str, served), *map(str, served)] == found
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert 2 == main(["sim", "--port", str(port)])
    said = capsys.readouterr().err
    assert f"port: {port} cannot be listened on" in said
    assert "http://" not in said
    assert 1 == len(served)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes streams")
@pytest.mark.parametrize(
    "line,said",
    [
        ("exec {python} -m mmflow_mcp serve <&-", "/dev/null"),
        ("exec {python} -m mmflow_mcp history >&-", "/dev/null"),
        ("exec {python} -OO -m mmflow_mcp </dev/null", "PYTHONOPTIMIZE=2"),
    ],
)
def test_what_cannot_be_served_says_so(line: str, said: str) -> None:
    """A closed stream, a Python that throws away what models read: one sentence, status 2."""
    words = ["sh", "-c", line.format(python=f"'{sys.executable}'")]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=env,
        timeout=60, check=False,
    )  # fmt: skip
    assert 2 == ended.returncode
    (sentence,) = ended.stderr.splitlines()
    assert said in sentence


@pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of Unix")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_stdio_server(kind: signal.Signals) -> None:
    """At the first, though its input stays open; at a terminal a person is told what this is."""
    ours, theirs = os.openpty()
    child = subprocess.Popen(
        [*COMMAND, "--source", "sim", "--store", "memory"],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    os.close(theirs)
    try:
        os.write(ours, json.dumps(INITIALIZE).encode() + b"\n")
        assert child.stdout is not None
        assert 1 == json.loads(child.stdout.readline())["id"]
        child.send_signal(kind)
        _, said = child.communicate(timeout=30)
    finally:
        child.kill()
        os.close(ours)
    assert 128 + kind == child.returncode
    (line,) = said.splitlines()
    assert "mmflow-mcp demo" in line


@pytest.mark.parametrize("command,missing", [("call", "tool"), ("capture", "file")])
def test_only_what_must_be_there_is_said_to_be_missing(
    command: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Words that may be left out are not asked for."""
    with pytest.raises(SystemExit):
        main([command])
    assert capsys.readouterr().err.endswith(f"arguments are required: {missing}\n")


def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not only why."""
    monkeypatch.setenv("MMFLOW_DATA", str(tmp_path))
    file = tmp_path / "no such folder" / "btc.csv"
    words = ["history", "export", "funding", "--out", str(file), "--source", "sim"]
    assert 1 == main([*words, "--store", f"sqlite:{tmp_path / 'h.sqlite'}"])
    assert f"mmflow-mcp: {file}: No such file or directory\n" == capsys.readouterr().err


@pytest.mark.anyio
@pytest.mark.parametrize("off", ["binanse", "all"])
async def test_a_wrong_setting_is_not_told_as_a_wrong_question(off: str) -> None:
    """Whoever asks of `venues` could not correct it."""
    settings = from_environment({"MMFLOW_VENUES_OFF": off}, source="sim")
    async with running(settings) as app:
        with pytest.raises(BadQuestion, match=r"^MMFLOW_VENUES_OFF: "):
            app.core()
