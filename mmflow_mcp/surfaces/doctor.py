"""`mmflow-mcp doctor`: every venue asked for every capability it claims."""

import sys
from dataclasses import dataclass, replace

import anyio

from mmflow_mcp.app import running
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import gather
from mmflow_mcp.errors import AllVenuesFailed
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces.tables import table
from mmflow_mcp.upstream.health import SLOW_MS
from mmflow_mcp.venues import capabilities, roll
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import CAPABILITIES


@dataclass(frozen=True, slots=True)
class Finding:
    """One venue's answer to one capability. `state`: ok, slow, short, blocked, changed, failing."""

    venue: str
    capability: str
    state: str
    rows: int
    milliseconds: int
    said: str


async def examine(core: Core, venue: Venue, name: str) -> Finding:
    """Ask one venue for one capability, for BTC."""
    started = core.clock.monotonic()
    if not isinstance(venue, CAPABILITIES[name]):
        return await _examine_feeds(core, venue, name, started)
    coins = None if name in ("markets", "predictions") else ("BTC",)
    try:
        found = await gather(core, CAPABILITIES[name], [venue], coins, whole=coins is None)
    except AllVenuesFailed as error:
        reason = error.sources[0]["reason"]
        state = _state(reason)
        return Finding(venue.id, name, state, 0, _ms(core, started), reason)
    spent = _ms(core, started)
    if not found.rows:
        return Finding(venue.id, name, "changed", 0, spent, "answered without a row")
    if found.partial:
        said = "; ".join(note["reason"] for note in found.notes)
        return Finding(venue.id, name, "short", len(found.rows), spent, said)
    return Finding(venue.id, name, "slow" if spent > SLOW_MS else "ok", len(found.rows), spent, "")


async def _examine_feeds(core: Core, venue: Venue, name: str, started: float) -> Finding:
    """Whether the feeds that stand for a capability take a subscription; rows: how many symbols."""
    if core.upstream.kind == "replay":
        return Finding(venue.id, name, "short", 0, 0, "unrecorded: it has a live feed only")
    taken = 0
    for channel in core.tape.channels(venue.id, name):
        reason = await core.tape.settle(venue.id, (), core.deadline, channel)
        if reason is not None:
            return Finding(venue.id, name, _state(reason), 0, _ms(core, started), reason)
        feed = core.tape.feed(venue.id, channel)
        taken += len(feed.taken) if feed is not None else 0
    return Finding(venue.id, name, "ok", taken, _ms(core, started), "")


def _ms(core: Core, started: float) -> int:
    return round((core.clock.monotonic() - started) * 1000)


def _state(reason: str) -> str:
    code = reason.split(":", 1)[0]
    if code in ("geo", "blocked"):
        return "blocked"
    return "changed" if code in ("changed", "rejected") else "failing"


async def diagnose(core: Core) -> list[Finding]:
    """Every venue that can be asked, one after the other inside a venue, venues at once."""
    findings: dict[str, list[Finding]] = {}

    async def one(venue: Venue) -> None:
        findings[venue.id] = [
            await examine(core, venue, name) for name, able in capabilities(venue).items() if able
        ]

    async with anyio.create_task_group() as tasks:
        for venue in roll().values():
            replayed = core.upstream.kind == "replay"
            if venue.id not in core.venues_off and (venue.status == "live" or replayed):
                tasks.start_soon(one, venue)
    return [finding for venue in sorted(findings) for finding in findings[venue]]


def run_doctor(settings: Settings) -> int:
    """Print the table; 1 when something is wrong."""
    # Copies of other replicas' answers would tell how venues answer those.
    own = replace(settings, store="memory")

    async def run() -> int:
        async with running(own) as app:
            core = app.core()
            findings = await diagnose(core)
            rows = [
                [f.venue, f.capability, f.state, f.rows, f.milliseconds, f.said] for f in findings
            ]
            names = ["venue", "capability", "state", "rows", "ms", "said"]
            sys.stdout.write(f"source {core.upstream.kind}\n\n{table(names, list(rows))}\n\n")
            health = core.upstream.health.all()
            ledger = [
                [h.venue, h.state, h.requests, h.failures, round(h.latency_ms or 0)] for h in health
            ]
            heads = ["venue", "health", "requests", "failures", "ms each"]
            sys.stdout.write(table(heads, list(ledger)) + "\n")
            wrong = sum(f.state not in ("ok", "slow") for f in findings)
            sys.stdout.write(f"\n{len(findings)} questions, {wrong} with something wrong\n")
            return 1 if wrong else 0

    return anyio.run(run)
