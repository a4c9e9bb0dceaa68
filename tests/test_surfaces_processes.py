"""The server as its users start it: a child on stdio, a port on loopback, commands in a shell."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from wires import RECORDINGS, SAMPLES
from worlds import MARKET, NOW, skip_waiting

from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.surfaces.cli import main

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "mmflow_mcp"]
SIM = ["--source", "sim", "--now", str(NOW)]
# Without files of compiled code each of many children would compile the whole package anew.
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith(("MMFLOW_", "PYTHONDONTWRITE"))},
    "PYTHONPATH": str(ROOT),
}

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command and what it printed."""
    return subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**ENVIRONMENT, **environment},
    )


Here = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    """A command in this process, which spares the start of another, and what it printed."""
    for name in [name for name in os.environ if name.startswith("MMFLOW_")]:
        monkeypatch.delenv(name)

    def run_here(*words: str) -> subprocess.CompletedProcess[str]:
        status = main(words)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, status, said.out, said.err)

    return run_here


@pytest.mark.anyio
@pytest.mark.parametrize("era", [{}, {"mode": "legacy"}], ids=["2026", "2025"])
async def test_stdio_answers_a_real_client(era: dict[str, str]) -> None:
    """No arguments but the source: tools, resources and an answer, in both eras."""
    child = StdioServerParameters(command=sys.executable, args=["-m", "mmflow_mcp", *SIM])
    child.env = ENVIRONMENT
    async with Client(child, **era) as client:  # type: ignore[arg-type]
        tools = await client.list_tools()
        result = await client.call_tool("get_funding", {"coins": ["BTC"], "venues": ["all"]})
        listed = await client.list_resources()
    assert set(endpoints()) == {tool.name for tool in tools.tools}
    assert not result.is_error
    assert result.structured_content is not None
    assert len(MARKET.venues()) == len(result.structured_content["data"]["rows"])
    assert listed.resources


def test_stdout_of_the_stdio_server_is_protocol_only() -> None:
    """Every line is JSON-RPC, even while it fails, warns and logs at full volume."""
    messages = [
        INITIALIZE,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        call(2, "get_funding", {"coins": ["NOSUCH"]}),
        call(3, "get_gex", {"underlying": "BTC"}),
        call(4, "get_oi", {"coins": ["BTC"], "venues": "all"}),
        call(5, "no_such_tool", {}),
    ]
    child = subprocess.Popen(
        [*COMMAND, *SIM, "--log", "DEBUG", "--fault", "okx:http=503"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    for message in messages:
        child.stdin.write(json.dumps(message) + "\n")
    child.stdin.flush()
    answers: dict[int, Any] = {}
    while len(answers) < 5:
        line = json.loads(child.stdout.readline())
        assert "2.0" == line["jsonrpc"]
        if "id" in line:
            answers[line["id"]] = line
    rest, noise = child.communicate(timeout=20)
    assert "" == rest
    assert noise
    assert 0 == child.returncode
    assert answers[2]["result"]["isError"] is True
    assert "isError" not in answers[4]["result"] or not answers[4]["result"]["isError"]


def call(number: int, tool: str, arguments: dict[str, object]) -> dict[str, object]:
    """A tools/call message."""
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


@contextmanager
def listening(*words: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """A command that listens on a free port of loopback; its port and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    child = subprocess.Popen(
        [*COMMAND, *words, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        until = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port, child
    finally:
        child.kill()
        child.communicate(timeout=20)


@pytest.mark.anyio
async def test_http_answers_both_eras_and_guards_its_door() -> None:
    """/mcp and REST; a foreign Host is 421, a foreign Origin on /mcp 403, a huge body 413."""
    with listening("serve", *SIM) as (port, child):
        base = f"http://127.0.0.1:{port}"
        for era in ({}, {"mode": "legacy"}):
            async with Client(f"{base}/mcp", **era) as client:  # type: ignore[arg-type]
                result = await client.call_tool("get_gex", {"underlying": "BTC"})
                assert not result.is_error
        async with httpx2.AsyncClient() as http:
            health = await http.get(f"{base}/healthz")
            rest = await http.get(f"{base}/api/v1/options/gex?underlying=BTC")
            ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
            headers = {"accept": "application/json, text/event-stream"}
            stranger = await http.post(
                f"{base}/mcp", json=ping, headers={**headers, "host": "evil.example"}
            )
            page = await http.post(
                f"{base}/mcp", json=ping, headers={**headers, "origin": "https://evil.example"}
            )
            huge = await http.post(
                f"{base}/mcp",
                content=b"x" * (2 << 20),
                headers={**headers, "content-type": "application/json"},
            )
        assert (200, "ok") == (health.status_code, health.json()["status"])
        assert result.structured_content is not None
        assert result.structured_content["data"]["totalGex"] == rest.json()["data"]["totalGex"]
        assert (421, 403, 413) == (stranger.status_code, page.status_code, huge.status_code)
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=10)
    assert "this machine only" in said
    assert "REST at http://127.0.0.1:" in said
    assert "Traceback" not in said


@pytest.mark.anyio
async def test_an_open_stream_does_not_hold_up_the_end() -> None:
    """SIGTERM ends the server long before its grace is over, without a traceback."""
    # Without the stream's end the server would wait as long as a question may take, and two more.
    with listening("serve", *SIM, "--deadline", "60") as (port, child):
        async with httpx2.AsyncClient(timeout=60) as http:
            headers = {"accept": "application/json, text/event-stream"}
            url = f"http://127.0.0.1:{port}/mcp"
            opened = await http.post(url, json=INITIALIZE, headers=headers)
            session = {**headers, "mcp-session-id": opened.headers["mcp-session-id"]}
            async with http.stream("GET", url, headers=session) as stream:
                assert 200 == stream.status_code
                child.send_signal(signal.SIGTERM)
                with anyio.fail_after(30):
                    async for _ in stream.aiter_bytes():
                        pass
            _, said = child.communicate(timeout=10)
    assert "Traceback" not in said


@pytest.mark.parametrize("tool", sorted(endpoints()))
def test_call_prints_a_table_and_an_envelope(tool: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every tool on the command line: a table for people, {data, meta} with --json."""
    skip_waiting(tool)
    words = [
        f"{name}={','.join(value) if isinstance(value, list) else value}"
        for name, value in endpoints()[tool].example.items()
    ]
    assert 0 == main(["call", tool, *words, *SIM])
    assert "as of 20" in capsys.readouterr().out
    assert 0 == main(["call", tool, *words, "--json", *SIM])
    envelope = json.loads(capsys.readouterr().out)
    assert {"data", "meta"} == set(envelope)
    assert envelope["meta"]["source"].startswith(("sim:", "mmflow:"))


def test_call_answers_in_the_shell() -> None:
    """A process of its own: the table on stdout, nothing on stderr, status 0."""
    table = run("call", "get_funding", "coins=BTC", "venues=all", *SIM)
    assert (0, "") == (table.returncode, table.stderr)
    assert "as of 20" in table.stdout


def test_call_teaches_on_stderr_and_in_the_envelope(here: Here) -> None:
    """A wrong question: status 2, the sentence on stderr, or an error envelope with --json."""
    said = here("call", "get_funding", "coins=BTC", "venues=binanse", *SIM)
    assert (2, "") == (said.returncode, said.stdout)
    assert "Nearest: binance" in said.stderr
    asked = here("call", "get_funding", "venues=binanse", "--json", *SIM)
    assert 2 == asked.returncode
    assert {"error", "data", "meta"} == set(json.loads(asked.stdout))
    unknown = here("call", "get_fundin", *SIM)
    assert "Nearest: get_funding" in unknown.stderr
    failed = here("call", "get_funding", "venues=all", *SIM, "--fault", "*:http=503")
    assert 1 == failed.returncode
    assert "http 503" in failed.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--source", "nowhere"],
        ["--source", "replay:no/such/file.har"],
        ["--source", "sim", "--fault", "okx:explode"],
        ["--source", "sim", "--now", "yesterday"],
        ["--source", "live", "--venues-off", "binanse"],
        ["--deadline", "0"],
    ],
)
def test_bad_options_are_one_sentence(here: Here, words: list[str]) -> None:
    """What cannot be meant is told in one line with what fits, status 2, no traceback."""
    result = here("call", "get_funding", "coins=BTC", *words)
    assert 2 == result.returncode
    assert "Traceback" not in result.stderr
    assert "Fits" in result.stderr or "fits" in result.stderr
    assert 1 == len(result.stderr.strip().splitlines())


def test_options_stand_before_or_after_the_command(here: Here) -> None:
    """And words of the question may follow them: nothing that was said is dropped."""
    orders = [
        [*SIM, "call", "get_funding", "coins=BTC", "--json"],
        ["call", "get_funding", "coins=BTC", "--json", *SIM],
        ["call", "--json", *SIM, "get_funding", "coins=BTC"],
        ["call", "get_funding", *SIM, "--json", "coins=BTC"],
    ]
    answers = [here(*words) for words in orders]
    assert [0] * 4 == [answer.returncode for answer in answers], answers[0].stderr
    assert 1 == len({answer.stdout for answer in answers})
    assert [1] == [len(json.loads(answers[0].stdout)["data"])]


def test_other_peoples_pipes_are_no_failure_of_ours() -> None:
    """A reader that leaves, a terminal without the letters, a port that is none: no traceback."""
    line = [*COMMAND, "call", "get_option_chain", "underlying=BTC", "--json", *SIM]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert child.stdout is not None
    child.stdout.read(10)
    child.stdout.close()
    assert child.stderr is not None
    assert b"" == child.stderr.read()
    child.stderr.close()
    child.wait(timeout=20)
    narrow = run("call", "get_funding", "coins=比特币", *SIM, PYTHONIOENCODING="cp1252")
    assert 2 == narrow.returncode
    assert "Traceback" not in narrow.stderr
    port = run("serve", "--port", "99999")
    assert "fits: 0 to 65535" in port.stderr


def test_doctor_finds_everything_well_on_a_healthy_market(here: Here) -> None:
    """Every venue and capability, ok, status 0; the ledger below."""
    result = here("doctor", *SIM)
    assert 0 == result.returncode, result.stdout
    for venue in MARKET.venues():
        assert re.search(rf"^{venue} +funding +(ok|slow)", result.stdout, re.MULTILINE)
    assert "0 with something wrong" in result.stdout


def test_doctor_tells_what_is_wrong(here: Here) -> None:
    """blocked, changed and failing are told apart, status 1."""
    faults = ["okx:http=503", "bybit:http=451", "gateio:html"]
    options = [word for fault in faults for word in ("--fault", fault)]
    result = here("doctor", *SIM, *options)
    assert 1 == result.returncode
    for venue, state in (("okx", "failing"), ("bybit", "blocked"), ("gateio", "changed")):
        assert re.search(rf"^{venue} +funding +{state}", result.stdout, re.MULTILINE)


def test_capture_saves_what_replays(here: Here, tmp_path: Path) -> None:
    """The traffic behind a question answers the same question later, from the file."""
    file = tmp_path / "traffic.har"
    question = ["get_funding", "coins=BTC,ETH", "venues=all"]
    saved = here("capture", str(file), " ".join(question), *SIM)
    assert 0 == saved.returncode, saved.stderr
    live = json.loads(here("call", *question, "--json", *SIM).stdout)
    again = json.loads(here("call", *question, "--json", "--source", f"replay:{file}").stdout)
    assert again["meta"]["source"].startswith("replay:")
    without = [{k: v for k, v in row.items() if k != "fetchedAt"} for row in live["data"]]
    replayed = [{k: v for k, v in row.items() if k != "fetchedAt"} for row in again["data"]]
    assert without == replayed


@pytest.mark.anyio
async def test_sim_serves_the_venues_to_other_programs() -> None:
    """A `sim` elsewhere answers a plain HTTP client and our own --source sim:URL alike."""
    with listening("sim") as (port, _):
        base = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient() as http:
            raw = await http.get(f"{base}/fapi.binance.com/fapi/v1/openInterest?symbol=BTCUSDT")
        assert "BTCUSDT" == raw.json()["symbol"]
        answer = run(
            "call", "get_oi", "coins=BTC", "venues=binance", "--json", "--source", f"sim:{base}"
        )
    row = json.loads(answer.stdout)["data"][0]
    assert "binance" == row["venue"]
    assert "BTCUSDT" in row["symbols"]


def test_demo_tells_its_story() -> None:
    """The first thing a stranger runs: it ends well and shows an answer, a mistake, a failure."""
    result = run("demo")
    assert 0 == result.returncode, result.stderr
    for part in ("What the server offers", "get_funding", "gamma flip", "partial: true", "Nearest"):
        assert part in result.stdout


def test_replay_of_our_samples_names_what_it_does_not_hold(here: Here) -> None:
    """Recorded venues answer, the others are missing with the reason, times are as recorded."""
    result = here(
        "call",
        "get_funding",
        "coins=BTC",
        "venues=all",
        "--json",
        "--source",
        f"replay:{SAMPLES / 'bybit.har'},{SAMPLES / 'hyperliquid.har'}",
    )
    envelope = json.loads(result.stdout)
    assert ["bybit", "hyperliquid"] == [row["venue"] for row in envelope["data"]]
    notes = {note["source"]: note for note in envelope["meta"]["sources"]}
    assert ("missing", True) == (
        notes["binance"]["status"],
        notes["binance"]["reason"].startswith("unrecorded: GET "),
    )
    assert "as recorded" == envelope["meta"]["times"]


@pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not on this machine")
def test_the_recorded_chains_give_the_contracts_figures(here: Here) -> None:
    """CONTRACT section 10: totalGex of the chains of 2026-08-22, +241.7 M and +25.4 M."""
    for underlying, expected in (("BTC", 241.7), ("ETH", 25.4)):
        answer = here(
            "call",
            "get_gex",
            f"underlying={underlying}",
            "--json",
            "--source",
            f"replay:{RECORDINGS}",
        )
        data = json.loads(answer.stdout)["data"]
        assert expected == round(data["totalGex"] / 1e6, 1)
        assert "reprice" == data["gammaFlipMethod"]


@pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not on this machine")
@pytest.mark.parametrize("tool", ["get_funding", "get_oi"])
def test_the_recordings_answer_for_every_venue_that_they_hold(here: Here, tool: str) -> None:
    """BTC and ETH of all venues: who is recorded answers, everyone else is named with a reason."""
    result = here(
        "call", tool, "coins=BTC,ETH", "venues=all", "--json", "--source", f"replay:{RECORDINGS}"
    )
    envelope = json.loads(result.stdout)
    answered = {row["venue"] for row in envelope["data"]}
    assert {"binance", "bitmex", "bybit", "deribit", "gateio", "hyperliquid", "okx"} <= answered
    named = {note["source"] for note in envelope["meta"]["sources"]}
    unlisted = {v for venues in envelope["meta"].get("notListed", {}).values() for v in venues}
    assert {"aster", "lighter"} <= answered | named | unlisted
