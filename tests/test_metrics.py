"""/metrics: Prometheus text of what the parts count; labels are of closed sets."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from guards import message
from prometheus_client.parser import text_string_to_metric_families
from rests import client_of, served
from worlds import world

from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.surfaces.calls import Calls
from mmflow_mcp.surfaces.resources import _answered
from mmflow_mcp.tally import BOUNDS, Tally, outcome_of
from mmflow_mcp.upstream.traffic import OTHER
from mmflow_mcp.venues import roll

pytestmark = pytest.mark.anyio

Values = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
FUNDING = "/api/v1/perps/funding?coins=BTC&venues="


async def scraped(client: Any) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of the page, as Prometheus' own parser reads it."""
    answer = await client.get("/metrics")
    assert 200 == answer.status_code
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found: Values, name: str, **labels: str) -> float | None:
    """One sample."""
    return found.get((f"mmflow_{name}", frozenset(labels.items())))


async def no_progress(*_: object) -> None:
    """Progress that nobody asked for."""


async def call(calls: Calls, name: str, **arguments: Any) -> None:
    """One tool call."""
    nobody: Any = SimpleNamespace(report_progress=no_progress)
    await calls.answer(name, arguments, nobody)


async def test_looking_starts_nothing() -> None:
    """The process, the version, zeros; no part is built for it."""
    async with served() as client:
        found = await scraped(client)
    assert 1 == value(found, "info", version="0.1.0", source="sim")
    assert 0 == value(found, "questions_running", face="rest")
    assert 0 == value(found, "streams_open", endpoint="mcp")
    assert value(found, "cache_askings_total", result="hit") is None
    if sys.platform == "linux":
        assert ("process_resident_memory_bytes", frozenset()) in found


async def test_questions_of_every_face_are_counted() -> None:
    """By endpoint, face and outcome, each with its time; what is remembered as well."""
    async with world("okx:http=500", anon_per_minute=0) as app, client_of(app) as client:
        for path in (
            *(FUNDING + "bybit",) * 3,
            *(FUNDING + "bybit,okx",) * 2,
            FUNDING + "okx",
            FUNDING + "nosuch",
            "/api/v1/nosuch",
            "/api/v1/streams/whales?minUsd=x",
        ):
            await client.get(path)
        await client.head("/api/v1/openapi")
        calls = Calls(app)
        for venues in ("bybit", "bybit", "okx", "nosuch"):
            await call(calls, "get_funding", coins=["BTC"], venues=venues)
        await _answered(app, "get_markets", {})
        found = await scraped(client)
    for face, endpoint, outcome, count in (
        ("rest", "get_funding", "ok", 3),
        ("rest", "get_funding", "partial", 2),
        ("rest", "get_funding", "error", 1),
        ("rest", "get_funding", "mistake", 1),
        ("rest", "unknown", "mistake", 1),
        ("rest", "openapi", "ok", 1),
        ("stream", "watch_whales", "mistake", 1),
        ("mcp", "get_funding", "ok", 2),
        ("mcp", "get_funding", "error", 1),
        ("mcp", "get_funding", "mistake", 1),
        ("mcp", "get_markets", "ok", 1),
    ):
        labels = {"face": face, "endpoint": endpoint}
        assert count == value(found, "questions_total", **labels, outcome=outcome), labels
    assert 7 == value(found, "question_seconds_count", face="rest", endpoint="get_funding")
    assert 0 == value(found, "questions_running", face="mcp")
    assert value(found, "question_seconds_count", face="stream", endpoint="watch_whales") is None


async def test_what_happens_upstream_is_counted() -> None:
    """Requests by venue and outcome with their time, the cache, the state of venues."""
    faults = ("okx:http=500", "gateio:http=429", "deribit:http=451")
    async with world(*faults, anon_per_minute=0) as app, client_of(app) as client:
        for venues in ("bybit,okx,gateio,deribit", "bybit", "bybit,hyperliquid"):
            await client.get(FUNDING + venues)
        found = await scraped(client)
    # Its contracts and its tickers, once each.
    assert 2 == value(found, "upstream_requests_total", venue="bybit", outcome="ok")
    assert 2 == value(found, "upstream_seconds_count", venue="bybit")
    for venue, outcome, least in (
        ("okx", "http", 2),
        ("gateio", "limited", 1),
        ("deribit", "geo", 1),
    ):
        count = value(found, "upstream_requests_total", venue=venue, outcome=outcome)
        assert count is not None
        assert count >= least
    states = dict.fromkeys(("okx", "gateio"), "failing") | {"deribit": "blocked", "bybit": "ok"}
    for venue, state in states.items():
        assert 1 == value(found, "venue_state", venue=venue, state=state)
        assert 0 == value(found, "venue_state", venue=venue, state="slow")
    hits = value(found, "cache_askings_total", result="hit")
    misses = value(found, "cache_askings_total", result="miss")
    assert hits is not None
    assert misses is not None
    assert (True, True) == (hits >= 2, misses >= 5)
    assert 0 == value(found, "cache_askings_total", result="stale")
    answered = value(found, "venue_answered_timestamp_seconds", venue="bybit")
    assert app.clock.now_ms() / 1000 == answered


async def test_tape_recorder_and_store_are_told() -> None:
    """Prints, connections, silence; samples and the time of the last; writes that failed."""
    async with world(anon_per_minute=0) as app, client_of(app) as client:
        core = app.core()
        with core.tape.hold("hyperliquid", "trades", ["BTC"]):
            with anyio.fail_after(20):
                while not core.tape.tape("hyperliquid").serial:  # noqa: ASYNC110 - a count
                    await anyio.sleep(0.02)
            from mmflow_mcp.metrics.recorder import Recorder
            from mmflow_mcp.series.places import open_lease

            lease = open_lease("memory", "sim", None, "recorder", lifetime_ms=1)
            app.recorder = Recorder(core, "light", lease)
            app.recorder.health.leading = True
            for one in app.recorder.samplings:
                await app.recorder.sample(one, app.clock.now_ms() // 60_000 * 60_000)
            found = await scraped(client)
            app.recorder = None
    here = {"venue": "hyperliquid", "channel": "trades"}
    assert (1, 1) == tuple(
        value(found, name, **here) for name in ("feed_connections_total", "feed_connected")
    )
    prints = value(found, "tape_prints_total", venue="hyperliquid")
    assert prints is not None
    assert prints > 0
    assert 0 == value(found, "tape_gaps_total", venue="hyperliquid")
    assert 0 == value(found, "store_writes_failed_total")
    assert 1 == value(found, "recorder_leading")
    stored = value(found, "recorder_samples_total", result="stored")
    assert stored is not None
    assert stored > 10
    last = [v for (name, _), v in found.items() if name.endswith("last_sample_timestamp_seconds")]
    assert {app.clock.now_ms() // 60_000 * 60} == set(last)


async def test_what_is_turned_away_is_counted_and_keys_guard_the_page(tmp_path: Path) -> None:
    """By quota or by key; the page itself is no question, and needs a key where one is required."""
    async with served(anon_per_minute=1, data=str(tmp_path)) as client:
        for _ in range(3):
            await client.get("/api/v1/nosuch")
        await client.get("/api/v1/nosuch", headers={"x-api-key": "mmf_wrong"})
        for _ in range(3):
            found = await scraped(client)
    assert 2 == value(found, "refused_total", why="quota")
    assert 1 == value(found, "refused_total", why="key")
    async with served(require_key=True, data=str(tmp_path)) as client:
        for path in ("/metrics", "/metrics/", "/Metrics"):
            assert 401 == (await client.get(path)).status_code


async def test_callers_cannot_make_labels() -> None:
    """Whatever is asked, endpoints and venues are those of the house."""
    async with world(anon_per_minute=0) as app, client_of(app) as client:
        for i in range(30):
            await client.get(f"/api/v1/nosuch{i}?a={i}")
            await client.get(f"{FUNDING}nosuch{i}")
            await client.post("/mcp", json=message("tools/call", name=f"no{i}", arguments={}))
        found = await scraped(client)
    ours = {*endpoints(), "openapi", "unknown", "mcp"}
    assert {dict(labels).get("endpoint", "mcp") for _, labels in found} <= ours
    assert {dict(labels).get("venue", OTHER) for _, labels in found} <= {*roll(), OTHER}


def test_times_fall_into_classes() -> None:
    """A bound belongs to its class, what is longer than all to one more; the sum is kept."""
    tally = Tally()
    for seconds in (0.0, BOUNDS[0], BOUNDS[1], BOUNDS[-1] + 1):
        tally.add(("rest", "get_oi"), "ok", seconds)
    tally.add(("stream", "watch_whales"), "ok")
    times = tally.times["rest", "get_oi"]
    assert [2, 1, *[0] * (len(BOUNDS) - 2), 1] == times.counts
    assert BOUNDS[0] + BOUNDS[1] + BOUNDS[-1] + 1 == times.total
    assert {("rest", "get_oi", "ok"): 4, ("stream", "watch_whales", "ok"): 1} == tally.counts
    assert [("rest", "get_oi")] == list(tally.times)


def test_outcomes() -> None:
    """The caller's mistakes are apart from errors; 304 is an answer."""
    told = [outcome_of(status) for status in (200, 304, 400, 404, 429, 500, 502)]
    assert ["ok", "ok", "mistake", "mistake", "mistake", "error", "error"] == told
    assert "partial" == outcome_of(200, partial=True)
