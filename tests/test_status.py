"""The facts of the status: what they tell, and that looking changes nothing."""

import json
import re
from typing import Any

import anyio
import pytest
from mcp import Client
from rests import client_of
from worlds import ask, world

from mmflow_mcp.app import App, running
from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import StoreAway, VenueBlocked
from mmflow_mcp.fleet.channel import Channel
from mmflow_mcp.fleet.lease import OwnLease
from mmflow_mcp.fleet.link import Link
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.metrics.recorder import Recorder
from mmflow_mcp.settings import from_environment
from mmflow_mcp.surfaces.mcp import build_server
from mmflow_mcp.surfaces.pages.page import Site
from mmflow_mcp.surfaces.pages.status import status as status_page
from mmflow_mcp.surfaces.status import status_facts
from mmflow_mcp.tape.relay import Relay
from mmflow_mcp.upstream.health import RECENT, HealthLedger

pytestmark = pytest.mark.anyio


def venue(app: App, name: str) -> dict[str, Any]:
    """What is told of one venue."""
    return next(one for one in status_facts(app)["venues"] if one["venue"] == name)


def test_the_ledger_remembers_the_last_requests() -> None:
    """Sixty of them, failures as None, and what a venue last failed with once it is well again."""
    ledger = HealthLedger(FixedClock(1_000))
    ledger.answered("okx", 0.5)
    ledger.failed("okx", VenueBlocked("geo: not served here"))
    ledger.answered("okx", 0.25)
    health = ledger.of("okx")
    assert [500.0, None, 250.0] == list(health.recent)
    assert (None, "geo: not served here", "ok") == (
        health.reason,
        health.last_reason,
        health.state,
    )
    for n in range(2 * RECENT):
        ledger.answered("okx", n / 1000)
    assert [float(n) for n in range(RECENT, 2 * RECENT)] == pytest.approx(list(health.recent))


async def test_looking_builds_nothing() -> None:
    """Before the first question every venue is not asked yet, and nothing was made for the page."""
    async with world(venues_off="kraken") as app, client_of(app) as client:
        page = await client.get("/status", headers={"accept": "text/html"})
        facts = (await client.get("/status?format=json")).json()
        assert app.built is None
        assert "not asked yet" in page.text
        states = {one["venue"]: one["state"] for one in facts["venues"]}
        assert "off" == states.pop("kraken")
        assert {"unknown"} == set(states.values())
        assert ({"state": "off", "level": "off"}, []) == (facts["recorder"], facts["feeds"])
        app.core()
        status_facts(app)
        assert [] == app.core().tape.feeds()


async def test_page_json_and_resource_tell_the_same() -> None:
    """One function behind three faces; Accept or format choose between page and JSON."""
    async with world("okx:http=503") as app, client_of(app) as client:
        await ask(app, "get_funding", coins=["BTC"], venues="all")
        by_format = await client.get("/status?format=json", headers={"accept": "text/html"})
        by_accept = await client.get("/status", headers={"accept": "application/json"})
        page = await client.get("/status", headers={"accept": "text/html"})
        async with Client(build_server(app)) as mcp:
            (told,) = (await mcp.read_resource("mmflow://status")).contents
        for answer in (by_format, by_accept):
            assert "application/json" == answer.headers["content-type"]
            assert "no-store" == answer.headers["cache-control"]
            for one in (facts := answer.json())["venues"]:
                # What runs on while we read.
                for host in one.get("paused", ()):
                    host.pop("seconds")
            assert facts["checkedAt"] == app.clock.now_ms()
        said = json.loads(getattr(told, "text", ""))
        for one in facts["venues"]:
            one.pop("recentMs", None)
        for one in said["venues"]:
            for host in one.get("paused", ()):
                host.pop("seconds")
        # A model need not read the last latencies one by one.
        assert facts == said
        okx = venue(app, "okx")
        assert ("failing", "http 503") == (okx["state"], okx["reason"])
        assert {None} == set(okx["recentMs"])
        assert okx["failures"] == okx["requests"] == len(okx["recentMs"])
        bybit = venue(app, "bybit")
        # A busy machine may be slow.
        assert bybit["state"] in ("ok", "slow")
        assert bybit["requests"] == len(bybit["recentMs"])
        assert all(ms > 0 for ms in bybit["recentMs"])
        assert "http 503" in page.text
        assert 1 == page.text.count("is-failing")


async def test_an_open_breaker_is_told() -> None:
    """Which host is left alone, why, and for how long; the page says so."""
    async with world("okx:http=451") as app, client_of(app) as client:
        await ask(app, "get_funding", coins=["BTC"], venues="okx,bybit")
        (paused,) = venue(app, "okx")["paused"]
        assert "www.okx.com" == paused["host"]
        assert paused["reason"].startswith("geo")
        assert 5 * 3600 < paused["seconds"] <= 6 * 3600
        assert "blocked" == venue(app, "okx")["state"]
        assert "paused" not in venue(app, "bybit")
        page = await client.get("/status", headers={"accept": "text/html"})
        assert re.search(r"www\.okx\.com is left alone for [56] h more", page.text)


async def test_feeds_are_told_once_somebody_listens() -> None:
    """Connected, subscribed, prints so far; nothing is told of feeds that do not run."""
    async with running(from_environment({}, source="sim", record="off")) as app:
        core = app.core()
        with core.tape.listen("hyperliquid", ["BTC"]) as listener, anyio.fail_after(20):
            await listener.batch()
            (feed,) = status_facts(app)["feeds"]
        assert ("hyperliquid", "trades", True) == (
            feed["venue"],
            feed["channel"],
            feed["connected"],
        )
        assert 1 <= feed["prints"]
        assert 1 <= feed["subscribed"]
        assert (0, 0, 0) == (feed["reconnects"], feed["gaps"], feed["noise"])
        assert abs(feed["heardAt"] - app.clock.now_ms()) < 20_000


async def test_a_feed_that_cannot_connect_says_why() -> None:
    """Its reason, and no last frame."""
    faults = "hyperliquid:refused"
    async with running(from_environment({}, source="sim", record="off", faults=faults)) as app:
        core = app.core()
        core.tape.need("hyperliquid", ["BTC"])
        with anyio.fail_after(20):
            while not (feed := status_facts(app)["feeds"][0]).get("reason"):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        assert feed["reason"].startswith("refused")
        assert not feed["connected"]
        assert "heardAt" not in feed


async def test_the_recorder_tells_what_it_missed() -> None:
    """Cells between two that it wrote while it led; where another led in between, none."""
    async with world() as app:
        recorder = Recorder(app.core(), "light", OwnLease())
        assert "off" == status_facts(app)["recorder"]["state"]
        app.recorder = recorder
        assert "standby" == status_facts(app)["recorder"]["state"]
        recorder.health.leading = True
        one = next(s for s in recorder.samplings if s.name == "funding")
        now = app.clock.now_ms() // one.every_ms * one.every_ms
        for back in (6, 5, 2):
            await recorder.sample(one, now - back * one.every_ms)
        told = status_facts(app)["recorder"]
        assert "running" == told["state"]
        assert {"funding": 2} == told["missed"]
        assert {"funding": now - 2 * one.every_ms} == told["last"]
        assert {"funding": 2 * one.every_ms} == told["lateMs"]
        recorder._line.clear()
        await recorder.sample(one, now)
        told = status_facts(app)["recorder"]
        assert ({"funding": 2}, {"funding": 0}) == (told["missed"], told["lateMs"])
        recorder.health.leading = False
        assert {} == (told := status_facts(app))["recorder"]["lateMs"]
        assert " late" not in status_page(Site.of(app), told)
        assert "on time" not in status_page(Site.of(app), told)


async def test_where_the_store_lies_is_not_told() -> None:
    """Paths and addresses are cut out of what the recorder failed with; words stay."""
    async with world() as app:
        app.recorder = Recorder(app.core(), "full", OwnLease())
        failures = app.recorder.health.failures
        failures["oi"] = "/home/someone/.local/share/mmflow-mcp/history.sqlite: the disk is full"
        failures["funding"] = "redis://cache.internal:6379/0 cannot be reached"
        failures["flows"] = "sqlite:/srv/h.db is back: 3 and/or 4"
        failures["lease"] = r"C:\Users\someone\history.sqlite: it cannot be opened"
        told = status_facts(app)["recorder"]["failures"]
    assert {
        "oi": "the store: the disk is full",
        "funding": "the store cannot be reached",
        "flows": "the store is back: 3 and/or 4",
        "lease": "the store: it cannot be opened",
    } == told


async def test_waiting_for_the_first_question_is_a_state_of_its_own() -> None:
    """A desktop server records once it is used."""
    async with world() as app:
        app.record_when_used = "light"
        assert {"state": "waiting", "level": "light"} == status_facts(app)["recorder"]


async def test_a_tape_that_is_alone_says_so_once() -> None:
    """Where the link is not: what begins the sentence elsewhere is the page's own beginning."""
    server = RedisServer("redis://127.0.0.1:1")
    async with world() as app:
        app.core().tape.relay = relay = Relay(Channel(server, "sim", "me"), app.clock)
        app.link = Link(server, app.clock)
        relay.lost(StoreAway("gone"))
        page = status_page(Site.of(app), status_facts(app))
    assert "On its own: the server that the fleet shares is out of reach" in page
