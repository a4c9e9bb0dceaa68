"""How this server is, as data: for `/status`, `mmflow://status` and `mmflow://venues/{venue}`.

Looking changes nothing: no part is built for it and no feed is started.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mmflow_mcp import __version__
from mmflow_mcp.app import App
from mmflow_mcp.core.core import Core
from mmflow_mcp.endpoints.answer import Shape, written
from mmflow_mcp.endpoints.markets import venue_row
from mmflow_mcp.endpoints.params import venues_of
from mmflow_mcp.metrics.declare import samplings
from mmflow_mcp.rows import camel
from mmflow_mcp.series.store import cell, nameless
from mmflow_mcp.surfaces.fleets import fleet_facts
from mmflow_mcp.tape.hub import TRADES, Hub
from mmflow_mcp.upstream.health import Health
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.base import Venue

if TYPE_CHECKING:
    from mmflow_mcp.tape.feed import Feed

# How long a sample may take until its cell counts as late.
_GRACE_MS = 30_000


def health_object(health: Health, *, recent: bool = False) -> dict[str, Any]:
    """One venue's health; unknown is left out. `recentMs`: null for a request that failed."""
    out = {camel(name): value for name, value in asdict(health).items() if value is not None}
    if health.latency_ms is not None:
        out["latencyMs"] = round(health.latency_ms, 1)
    del out["recent"]
    if recent and health.recent:
        out["recentMs"] = [None if ms is None else round(ms, 1) for ms in health.recent]
    return out


def status_facts(app: App, *, recent: bool = True) -> dict[str, Any]:
    """Everything there is to tell of this server's health, secrets and places left out.

    Every venue that is live, the recorder, the feeds, the fleet if there is one. Times in epoch ms,
    spans in seconds.
    `recent`: with the last latencies one by one, which a model need not read.
    """
    core, fleet = app.built, fleet_facts(app)
    return {
        "source": app.kind,
        "version": __version__,
        "checkedAt": app.clock.now_ms(),
        "venues": _venues(app, core, recent=recent),
        "recorder": _recorder(app),
        "feeds": [] if core is None else _feeds(core.tape),
        **({} if fleet is None else {"fleet": fleet}),
    }


def _venues(app: App, core: Core | None, *, recent: bool) -> list[dict[str, Any]]:
    off = (
        core.venues_off
        if core is not None
        else venues_of(app.settings.venues_off, "MMFLOW_VENUES_OFF") or ()
    )
    paused = {} if core is None else _paused(core)
    found = []
    for venue in roll().values():
        if venue.status != "live":
            continue
        health = Health(venue.id) if core is None else core.upstream.health.of(venue.id)
        one = health_object(health, recent=recent) | {"name": venue.name, "kind": venue.kind}
        if venue.id in off:
            one["state"] = "off"
        if venue.id in paused:
            one["paused"] = paused[venue.id]
        found.append(one)
    return found


def _paused(core: Core) -> dict[str, list[dict[str, Any]]]:
    """By venue, which of its hosts are left alone by the circuit breaker, and for how long."""
    owners = {host: venue.id for venue in roll().values() for host in venue.hosts}
    found: dict[str, list[dict[str, Any]]] = {}
    for one in core.upstream.refused():
        told = {"host": one.host, "seconds": round(one.seconds, 1), "reason": one.reason}
        found.setdefault(owners.get(one.host, one.host), []).append(told)
    return found


def _recorder(app: App) -> dict[str, Any]:
    """`state`: off, waiting (for the first question), standby (another process records), running.

    `lateMs`: how far the last cell lies behind the one that should be written by now; nothing of
    who stands by, for another has written since.
    """
    recorder = app.recorder
    if recorder is None:
        waiting = app.record_when_used != "off"
        level = app.record_when_used if waiting else "off"
        return {"state": "waiting" if waiting else "off", "level": level}
    health = recorder.health
    told = asdict(health) | {"state": "running" if health.leading else "standby"}
    told["failures"] = {name: nameless(s) for name, s in health.failures.items()}
    now, grid = app.clock.now_ms(), samplings()
    told["lateMs"] = {
        name: max(0, cell(now - _GRACE_MS, grid[name].every_ms) - at)
        for name, at in health.last.items()
        if health.leading
    }
    return told


def _feeds(hub: Hub) -> list[dict[str, Any]]:
    """Every feed that runs; what it has brought since this process began."""
    feeds = sorted(hub.feeds(), key=lambda feed: (feed.rule.venue, feed.rule.channel))
    return [_feed(hub, feed) for feed in feeds]


def _feed(hub: Hub, feed: "Feed") -> dict[str, Any]:
    state, venue = feed.state, feed.rule.venue
    told: dict[str, Any] = {
        "venue": venue,
        "channel": feed.rule.channel,
        "connected": state.connected,
        "reconnects": max(0, state.connections - 1),
        "subscribed": len(feed.taken),
        "noise": state.noise,
    }
    if state.heard_ms is not None:
        told["heardAt"] = state.heard_ms
    if state.reason is not None:
        told["reason"] = state.reason
    if feed.rule.channel == TRADES:
        # A feed of trades has its tape from the start: nothing is made by looking at it.
        tape = hub.tape(venue)
        told |= {"prints": tape.serial, "unread": tape.unread, "gaps": len(tape.gaps)}
        if tape.gaps:
            told["lastGap"] = asdict(tape.gaps[-1])
    if state.connected:
        told["silentSeconds"] = round(max(0.0, feed.silent), 1)
    return told


def venue_page(core: Core, venue: Venue) -> dict[str, Any]:
    """One venue: its row of the catalogue, its words, its health."""
    page: dict[str, Any] = written(venue_row(venue), Shape())
    page["aliases"] = list(venue.aliases)
    page["docs"] = venue.docs
    if venue.closed_on:
        page["closedOn"] = venue.closed_on
    page["health"] = health_object(core.upstream.health.of(venue.id))
    return page
