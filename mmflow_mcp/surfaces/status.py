"""How the venues are, as data, for `mmflow://status` and `mmflow://venues/{venue}`."""

from dataclasses import asdict
from typing import Any

from mmflow_mcp.core.core import Core
from mmflow_mcp.endpoints.answer import Shape, written
from mmflow_mcp.endpoints.markets import venue_row
from mmflow_mcp.metrics.recorder import Recorder
from mmflow_mcp.rows import camel
from mmflow_mcp.upstream.health import Health
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.base import Venue


def health_object(health: Health) -> dict[str, Any]:
    """One venue's health; unknown is left out."""
    out = {camel(name): value for name, value in asdict(health).items() if value is not None}
    if health.latency_ms is not None:
        out["latencyMs"] = round(health.latency_ms, 1)
    return out


def status_page(core: Core, recorder: Recorder | None = None) -> dict[str, Any]:
    """Every venue that is live here, with what is known of its health, and the recorder's."""
    ledger = core.upstream.health
    venues = [health_object(ledger.of(v.id)) for v in roll().values() if v.status == "live"]
    page: dict[str, Any] = {
        "source": core.upstream.kind,
        "checkedAt": core.clock.now_ms(),
        "venues": venues,
    }
    if recorder is not None:
        page["recorder"] = asdict(recorder.health)
    return page


def venue_page(core: Core, venue: Venue) -> dict[str, Any]:
    """One venue: its row of the catalogue, its words, its health."""
    page: dict[str, Any] = written(venue_row(venue), Shape())
    page["aliases"] = list(venue.aliases)
    page["docs"] = venue.docs
    if venue.closed_on:
        page["closedOn"] = venue.closed_on
    page["health"] = health_object(core.upstream.health.of(venue.id))
    return page
