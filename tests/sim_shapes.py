"""For tests of simulated venues: asking one without a server, and real rows to compare with."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import Listing, Market
from mmflow_mcp.sim.wire import SimResponse

NOW = 1_795_485_784_000
"""2026-11-24 02:03:04 UTC, a whole second."""

RECORDINGS = Path(__file__).resolve().parents[1].parent / "shared" / "wire"


def make_app(now_ms: int = NOW, seed: int = 1) -> SimApp:
    """A simulated world whose time stands."""
    return SimApp(Market(seed), FixedClock(now_ms))


def get(app: SimApp, host: str, path: str, **query: object) -> SimResponse:
    """The answer to a GET."""
    return app.reply("GET", host, path, urlencode(query).encode(), b"")


def get_json(app: SimApp, host: str, path: str, **query: object) -> Any:
    """The parsed answer to a GET that succeeds."""
    found = get(app, host, path, **query)
    assert found.status == 200, found.body
    return json.loads(found.body)


def post_json(app: SimApp, host: str, path: str, body: object) -> Any:
    """The parsed answer to a POST that succeeds."""
    found = app.reply("POST", host, path, b"", json.dumps(body).encode())
    assert found.status == 200, found.body
    return json.loads(found.body)


def listing_of(app: SimApp, venue: str, symbol: str, kind: str = "perp") -> Listing:
    """A listing by its symbol and kind."""
    listed = app.market.listings(venue, app.clock.now_ms())
    return next(i for i in listed if (i.symbol, i.kind) == (symbol, kind))


def recorded(venue: str, *parts: str) -> Any:
    """The newest recorded body whose address and question contain all parts; skips if absent."""
    path = RECORDINGS / f"{venue}.har"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    entries = [
        entry
        for entry in json.loads(path.read_text())["log"]["entries"]
        if all(part in _asked(entry) for part in parts)
    ]
    if not entries:
        pytest.skip(f"no recording with {parts}")
    newest = max(entries, key=lambda entry: str(entry["startedDateTime"]))
    return json.loads(newest["response"]["content"]["text"])


def _asked(entry: dict[str, Any]) -> str:
    request = entry["request"]
    body = request.get("postData", {}).get("text", "")
    return f"{request['url']}$ {body.replace(' ', '')}"


def type_of(value: Any) -> str:
    """The JSON type: whole and broken numbers are one, so are true and false."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", list: "list", dict: "object", type(None): "null"}[type(value)]


def check_types(real: dict[str, Any], ours: dict[str, Any], *lacking: str) -> None:
    """Every field of a real row is in ours with its type; null fits any, `lacking` may miss."""
    for name, value in real.items():
        if name in lacking:
            continue
        assert name in ours, name
        pair = {type_of(value), type_of(ours[name])} - {"null"}
        assert len(pair) <= 1, (name, value, ours[name])
