"""Wire for tests: our own small samples in tests/wire, and the recordings where they stand.

A sample file is HAR 1.2, one per venue, written by us in the venue's shapes. The recordings are
read in place and tests that need them skip where they are absent.
"""

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import Unrecorded, VenueError
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask

SAMPLES = Path(__file__).parent / "wire"
RECORDINGS = Path(__file__).resolve().parents[1].parent / "shared" / "wire"
PAGING = {"limit", "cursor"}


@cache
def _entries(path: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(path.read_text())["log"]["entries"]
    return entries


def _wire(entry: dict[str, Any], form: str) -> Wire:
    text = entry["response"]["content"]["text"]
    at = entry["startedDateTime"]
    read_at = round(datetime.fromisoformat(at).timestamp() * 1000)
    doc = text if form == "text" else json.loads(text)
    return Wire(doc, fetched_at=read_at, read=0.0, size=len(text))


def _asked(url: str) -> tuple[str, str, frozenset[tuple[str, str]]]:
    parts = urlsplit(url)
    query = frozenset((k, v) for k, v in parse_qsl(parts.query) if k not in PAGING)
    return parts.netloc, parts.path, query


def _find(path: Path, call: Call) -> Wire | None:
    url, body = call.url, call.body
    same = [
        entry
        for entry in _entries(path)
        if _asked(entry["request"]["url"]) == _asked(url)
        and (body is None or json.loads(entry["request"]["postData"]["text"]) == json.loads(body))
    ]
    if not same:
        return None
    best = max(same, key=lambda e: (len(e["response"]["content"]["text"]), e["startedDateTime"]))
    return _wire(best, call.form)


def sample(venue: str, call: Call) -> Wire:
    """Our own small sample of a call."""
    wire = _find(SAMPLES / f"{venue}.har", call)
    assert wire is not None, f"tests/wire/{venue}.har has no entry for {call.url}"
    return wire


def recorded(venue: str, call: Call) -> Wire:
    """What the venue really sent (largest body, then newest); skips where it is absent."""
    path = RECORDINGS / f"{venue}.har"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    wire = _find(path, call)
    if wire is None:
        pytest.skip(f"no recording of {call.url}")
    return wire


class Answers:
    """Stands where `Upstream` stands: answers from a HAR file, with failures put in by hand."""

    kind = "replay"

    def __init__(self, path: Path, failing: dict[str, VenueError] | None = None) -> None:
        self.clock = FixedClock(1_789_412_345_678)
        self.asked: list[str] = []
        self._path = path
        self._failing = failing or {}
        self._known: dict[tuple[str, bytes | None], Wire] = {}

    def peek(self, call: Call) -> Wire | None:
        """Only what was fetched before."""
        return self._known.get(call.key)

    async def fetch(self, call: Call, deadline: float) -> tuple[Wire, str | None]:
        """The sample, or the failure put in for an address that contains the given part."""
        self.asked.append(call.url)
        for part, error in self._failing.items():
            if part in call.url:
                raise error
        wire = _find(self._path, call)
        if wire is None:
            raise Unrecorded(f"unrecorded: {call.url}")
        self._known[call.key] = wire
        return wire, None


def asking(
    venue: str, *coins: str, failing: dict[str, VenueError] | None = None, real: bool = False
) -> Ask:
    """An `Ask` of a venue over our samples, or over the recordings with `real`."""
    assert venue in roll()
    folder = RECORDINGS if real else SAMPLES
    if real and not folder.exists():
        pytest.skip("the recordings are not on this machine")
    answers = Answers(folder / f"{venue}.har", failing)
    return Ask(venue, answers, coins=coins or None, deadline=1e9)  # type: ignore[arg-type]
