"""History on every face: resources with completion and notices, the commands, the processes."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from mcp import Client
from mcp.types import ResourceTemplateReference
from worlds import NOW, world

from mmflow_mcp.app import running
from mmflow_mcp.clock import FixedClock
from mmflow_mcp.core.archive import Archive
from mmflow_mcp.fleet.lease import OwnLease
from mmflow_mcp.metrics.flows import FLOW_METRICS
from mmflow_mcp.metrics.recorder import Recorder
from mmflow_mcp.series.store import Batch, Point, SeriesKey
from mmflow_mcp.settings import from_environment
from mmflow_mcp.surfaces.cli import main
from mmflow_mcp.surfaces.keeping import stopped
from mmflow_mcp.surfaces.mcp import build_server

TEN = 600_000
START = NOW - NOW % TEN - 3 * TEN


def command(*words: str) -> int:
    """One command, as a shell would give it."""
    return main(list(words))


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """A store with a few points of two series, one of them with a gap."""
    place = f"sqlite:{tmp_path / 'h.sqlite'}"

    async def fill() -> None:
        async with world(store=place) as app:
            store = app.core().archive.store
            assert store is not None
            rates = [Point(START + i * TEN, 1e-5 * i, {"periodHours": 8.0}) for i in (0, 1, 3)]
            key = SeriesKey("funding", "okx", "BTC", "predicted")
            held = SeriesKey("oi", "okx", "ETH", "sampled")
            await store.write([Batch(key, TEN, rates), Batch(held, TEN, [Point(START, 5.0)])])

    anyio.run(fill)
    return place


def test_the_list_tells_span_and_gaps(kept: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a series, narrowed by words; gaps by the series' own cadence."""
    given = ("--source", "sim", "--now", str(NOW), "--store", kept)
    assert 0 == command("history", *given)
    assert "2 series, 4 points" in capsys.readouterr().out
    assert 0 == command("history", "list", "btc", "fund*", *given)
    said = capsys.readouterr().out
    row = next(line.split() for line in said.split("\n") if line.startswith("funding"))
    assert ["funding", "okx", "BTC", "predicted", "3"] == row[:5]
    # Ten minutes are missing between the second and the third.
    assert "1" == row[9]
    assert "oi" not in said.split("\n")[1]


def test_a_record_in_steps_of_two_lengths_has_no_gaps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A week in quarters of an hour and the newest in fives is whole; an hour without is a gap."""
    place, minute = f"sqlite:{tmp_path / 'h.sqlite'}", 60_000
    times = [i * 15 for i in range(8)] + [110 + i * 5 for i in range(5)] + [195, 210]

    async def fill() -> None:
        async with world(store=place) as app:
            store = app.core().archive.store
            assert store is not None
            points = [Point(START + (t - 300) * minute, 5.0) for t in times]
            key = SeriesKey("oi", "okx", "ETH", "settled")
            await store.write([Batch(key, 5 * minute, points)], backfill=True)

    anyio.run(fill)
    assert 0 == command("history", "--source", "sim", "--now", str(NOW), "--store", place)
    row = next(x.split() for x in capsys.readouterr().out.split("\n") if x.startswith("oi"))
    assert (str(len(times)), "1", "1.2") == (row[4], row[9], row[10])


def test_exports_hold_everything(kept: str, capsys: pytest.CaptureFixture[str]) -> None:
    """CSV with a header, JSON lines with the period."""
    given = ("--source", "sim", "--now", str(NOW), "--store", kept)
    assert 0 == command("history", "export", *given)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert 4 == len(rows)
    assert ("funding", "okx", str(START)) == (rows[0]["metric"], rows[0]["venue"], rows[0]["t"])
    assert {"periodHours": 8.0} == json.loads(rows[0]["extra"])
    assert 0 == command("history", "export", "ETH", *given, "--format", "jsonl")
    (line,) = capsys.readouterr().out.strip().split("\n")
    told = json.loads(line)
    assert ("oi", 5.0, START) == (told["metric"], told["v"], told["t"])
    assert "extra" not in told


def test_an_export_goes_to_a_file(
    kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing to the terminal."""
    out = tmp_path / "out.csv"
    given = ("--source", "sim", "--now", str(NOW), "--store", kept)
    assert 0 == command("history", "export", *given, "--out", str(out))
    assert 5 == len(out.read_text("utf-8").strip().split("\n"))
    assert "" == capsys.readouterr().out


def test_deletion_needs_words(kept: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is deleted by a bare command; what was named is gone."""
    given = ("--source", "sim", "--now", str(NOW), "--store", kept)
    assert 2 == command("history", "delete", *given)
    assert "what to delete" in capsys.readouterr().err
    assert 0 == command("history", "delete", "funding", *given)
    assert "3 points of 1 series deleted" in capsys.readouterr().out
    assert 0 == command("history", *given)
    assert "1 series, 1 points" in capsys.readouterr().out


def test_a_store_of_another_kind_is_refused(kept: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Simulated history never stands beside live history."""
    assert 1 == command("history", "--source", "live", "--store", kept)
    assert "sim" in capsys.readouterr().err
    assert 2 == command("history", "--source", "sim", "--store", "nonsense:here")


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_resources_are_read_completed_and_told(mode: str) -> None:
    """Both eras: three templates, their arguments, the envelope; a missing coin is not found."""
    async with world() as app, Client(build_server(app), mode=mode) as client:
        listed = await client.list_resource_templates()
        uris = {t.uri_template for t in listed.resource_templates}
        flows = "mmflow://history/flows/{coin}/{metric}"
        assert {"mmflow://history/oi/{coin}", "mmflow://history/funding/{coin}", flows} <= uris
        recorder = Recorder(app.core(), "full", OwnLease())
        await recorder.turn()
        read = await client.read_resource("mmflow://history/flows/BTC/flowPressureScore")
        told = json.loads(read.contents[0].text)  # type: ignore[union-attr]
        assert 1 == len(told["data"]["points"])
        read = await client.read_resource("mmflow://history/funding/BTC")
        told = json.loads(read.contents[0].text)  # type: ignore[union-attr]
        assert len(told["data"]["points"]) > 100
        reference = ResourceTemplateReference(type="ref/resource", uri=flows)
        metrics = await client.complete(reference, {"name": "metric", "value": "c"})
        assert [m for m in FLOW_METRICS if m.startswith("c")] == metrics.completion.values
        coins = await client.complete(reference, {"name": "coin", "value": "p"})
        assert "PEPE" in coins.completion.values
        with pytest.raises(Exception, match=r"NOSUCH|not found"):
            await client.read_resource("mmflow://history/oi/NOSUCH")


@pytest.mark.anyio
async def test_a_desktop_server_records_once_it_is_used() -> None:
    """Nothing before the first call; the light level after it; nothing where it is off."""
    assert ["funding", "open_interest"] == await recorded({})
    assert [] == await recorded({"record": "off"})
    # A pinned clock stands: there is nothing to record.
    assert [] == await recorded({"now": str(NOW)})


async def recorded(given: dict[str, str]) -> list[str]:
    """What a desktop server records after a call; before it, nothing."""
    settings = from_environment({}, source="sim", **given)
    clock = FixedClock(NOW)
    async with running(settings, clock=clock) as app, Client(build_server(app)) as client:
        app.record_when_used = "light"
        await client.list_tools()
        assert app.recorder is None
        await client.call_tool("get_markets", {})
        return [s.name for s in app.recorder.samplings] if app.recorder else []


def test_record_runs_alone_until_it_is_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what it records; SIGTERM ends it cleanly, and what it wrote is there."""
    place = f"sqlite:{tmp_path / 'h.sqlite'}"
    words = [sys.executable, "-m", "mmflow_mcp", "record", "--source", "sim", "--store", place]
    off = "aster,binance,bybit,deribit,gateio,kraken,okx"
    with subprocess.Popen([*words, "--venues-off", off], stderr=subprocess.PIPE, text=True) as one:
        assert one.stderr is not None
        assert "recording" in one.stderr.readline()
        deadline = time.monotonic() + 40
        said = ""
        while time.monotonic() < deadline and "hyperliquid" not in said:
            time.sleep(0.3)
            assert 0 == command("history", "BTC", "--source", "sim", "--store", place)
            said = capsys.readouterr().out
        one.send_signal(signal.SIGTERM)
        assert "points recorded" in one.stderr.read()
        assert 0 == one.wait(10)
    assert "hyperliquid" in said


@pytest.mark.anyio
async def test_a_store_that_is_away_is_told(tmp_path: Path) -> None:
    """A path that cannot be: the question answers partial, with the reason."""
    blocked = tmp_path / "file"
    blocked.write_text("no folder", "utf-8")
    async with world(store=f"sqlite:{blocked}/h.sqlite") as app, Client(build_server(app)) as one:
        arguments = {"coin": "BTC", "metric": "flowPressureScore"}
        result = await one.call_tool("get_flow_history", arguments)
        assert result.structured_content is not None
        assert result.structured_content["meta"]["partial"]
        assert result.structured_content["meta"]["sources"][0]["source"] == "mmflow:history"
        assert isinstance(app.core().archive, Archive)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_where_loops_take_no_handlers(kind: signal.Signals) -> None:
    """Windows' loops do not: plain handlers wake the loop, and those from before come back."""
    before = signal.getsignal(kind)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stopped)
            while signal.getsignal(kind) == before:
                await anyio.lowlevel.checkpoint()
            signal.raise_signal(kind)
    assert before == signal.getsignal(kind)
