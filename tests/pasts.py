"""Questions about the past: over our samples, by hand, or over the simulated venues.

The samples stand in files of their own, tests/wire/<venue>-past.har.
"""

import json
from typing import Any
from urllib.parse import urlsplit

from excerpts import Excerpt
from wires import RECORDINGS, SAMPLES, Answers, _entries, _find, _wire

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import Unrecorded, VenueError, VenueRejected
from mmflow_mcp.rows.history import FundingPast, OpenInterestPast
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import Market
from mmflow_mcp.upstream.matching import read_question
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.ask import Ask

HOUR, MINUTE = 3_600_000, 60_000
DAY = 24 * HOUR
# When the simulated market is asked.
NOW = 1_789_453_123_000
MARKET = Market(1)
# 2026-09-14: the samples of rates begin at midnight, those of open interest at half past six.
MIDNIGHT, SIX_PM = 1_789_344_000_000, 1_789_408_800_000
HALF_PAST = SIX_PM + 30 * MINUTE
READ_AT = 1_789_412_345_678


class Simulated:
    """Stands where `Upstream` stands; `calls` holds what was really asked, in order."""

    kind = "sim"

    def __init__(self, now_ms: int = NOW) -> None:
        self.clock = FixedClock(now_ms)
        self.calls: list[Call] = []
        self._app = SimApp(MARKET, self.clock)
        self._known: dict[tuple[str, bytes | None], Wire] = {}

    @property
    def asked(self) -> list[str]:
        """The addresses that were really asked, in order."""
        return [call.url for call in self.calls]

    def peek(self, call: Call) -> Wire | None:
        """What was fetched before is fresh: time stands."""
        return self._known.get(call.key)

    async def fetch(self, call: Call, deadline: float) -> tuple[Wire, str | None]:
        """What the simulated venue answers."""
        self.calls.append(call)
        parts = urlsplit(call.url)
        told = self._app.reply(
            call.method, call.host, parts.path, parts.query.encode(), call.body or b""
        )
        doc = json.loads(told.body)
        refused = isinstance(doc, dict) and str(doc.get("code", "0")) not in ("0", "200")
        if told.status != 200 or refused:
            raise VenueRejected(f"rejected: {told.body.decode()[:80]}")
        now_ms = self.clock.now_ms()
        wire = Wire(doc, fetched_at=now_ms, read=0.0, size=len(told.body))
        self._known[call.key] = wire
        return wire, None


class Sampled(Answers):
    """Several of our sample files as one venue; `told` replaces what contains a part of an address.

    What replaces is a document, or an error that is raised. A sample answers for every window,
    unless there is one of just the window that is asked for.
    """

    def __init__(self, *names: str, told: dict[str, Any] | None = None) -> None:
        super().__init__(SAMPLES / f"{names[0]}.har")
        self._names = names
        self._told = told or {}

    async def fetch(self, call: Call, deadline: float) -> tuple[Wire, str | None]:
        """The replacement, or the sample."""
        self.asked.append(call.url)
        found = None
        for part, doc in self._told.items():
            if part in call.url and isinstance(doc, VenueError):
                raise doc.fresh()
            if part in call.url:
                found = Wire(doc, fetched_at=self.clock.now_ms(), read=0.0, size=1)
                break
        for name in self._names:
            found = found or _find(SAMPLES / f"{name}.har", call)
        for name in self._names:
            found = found or _same_question(name, call)
        if found is None:
            raise Unrecorded(f"unrecorded: {call.url}")
        self._known[call.key] = found
        return found, None


def _same_question(name: str, call: Call) -> Wire | None:
    asked = read_question(call.method, call.url, call.body)
    for entry in _entries(SAMPLES / f"{name}.har"):
        request = entry["request"]
        body = request.get("postData", {}).get("text", "").encode() or None
        if read_question(request["method"], request["url"], body) == asked:
            return _wire(entry, call.form)
    return None


def asking_past(
    venue: str,
    coin: str,
    since: int,
    until: int,
    upstream: Simulated | Excerpt | Answers | None = None,
) -> Ask:
    """A question about the past of a coin on a venue."""
    answers: Any = upstream or Simulated()
    span = {"since_ms": since, "until_ms": until}
    return Ask(venue, answers, coins=(coin,), deadline=1e9, options=span)


def sampled(
    venue: str,
    coin: str,
    since_ms: int,
    until_ms: int = READ_AT,
    *,
    failing: dict[str, VenueError] | None = None,
) -> Ask:
    """A question over a venue's samples of the past."""
    answers = Sampled(f"{venue}-past", told=dict(failing or {}))
    return asking_past(venue, coin, since_ms, until_ms, answers)


def requests_of(ask: Ask) -> list[str]:
    """The addresses that a question asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls


async def rates_of(ask: Ask) -> list[FundingPast]:
    """The settled rates that a venue gives."""
    rows: list[FundingPast] = await roll()[ask.venue].funding_history(ask)  # type: ignore[attr-defined]
    return rows


async def interest_of(ask: Ask) -> list[OpenInterestPast]:
    """The open interest that a venue gives."""
    rows: list[OpenInterestPast] = await roll()[ask.venue].open_interest_history(ask)  # type: ignore[attr-defined]
    return rows


def hours(past: FundingPast) -> list[tuple[int, float, float]]:
    """Rates as (hours after midnight, rate, period)."""
    return [((one.ts - MIDNIGHT) // HOUR, one.rate, one.period_hours) for one in past.rates]


def minutes(past: OpenInterestPast) -> list[tuple[int, float, float | None]]:
    """Points as (minutes after six, coins, USD)."""
    return [((one.ts - SIX_PM) // MINUTE, one.coins, one.usd) for one in past.points]


def recordings(venue: str, *parts: str) -> list[tuple[str, str, Wire]]:
    """(address, body asked, answer) of what was recorded of addresses with one of these parts.

    Empty where the recordings are not on this machine.
    """
    path = RECORDINGS / f"{venue}.har"
    if not path.exists():
        return []
    found = []
    for entry in _entries(path):
        url, body = entry["request"]["url"], entry["request"].get("postData", {}).get("text", "")
        if any(part in url or part in body for part in parts):
            found.append((url, body, _wire(entry, "json")))
    return found
