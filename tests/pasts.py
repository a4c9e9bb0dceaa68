"""Questions about the past: over our samples, or over the simulated venues without a budget."""

import json
from typing import Any
from urllib.parse import urlsplit

from excerpts import Excerpt
from wires import SAMPLES, Answers, _find

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import Unrecorded, VenueError, VenueRejected
from mmflow_mcp.sim.app import SimApp
from mmflow_mcp.sim.market import Market
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask

NOW = 1_789_453_123_000
HOUR = 3_600_000
DAY = 24 * HOUR
MARKET = Market(1)


class Simulated:
    """Stands where `Upstream` stands; `asked` holds the requests, `calls` what they declared."""

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
        told = self._app.reply("GET", call.host, parts.path, parts.query.encode(), b"")
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

    What replaces is a document, or an error that is raised.
    """

    def __init__(self, *names: str, told: dict[str, Any] | None = None) -> None:
        super().__init__(SAMPLES / f"{names[0]}.har")
        self._names = names
        self._told = told or {}

    async def fetch(self, call: Call, deadline: float) -> tuple[Wire, str | None]:
        """The replacement, or the sample."""
        self.asked.append(call.url)
        for part, doc in self._told.items():
            if part in call.url and isinstance(doc, VenueError):
                raise doc.fresh()
            if part in call.url:
                wire = Wire(doc, fetched_at=self.clock.now_ms(), read=0.0, size=1)
                self._known[call.key] = wire
                return wire, None
        for name in self._names:
            found = _find(SAMPLES / f"{name}.har", call)
            if found is not None:
                self._known[call.key] = found
                return found, None
        raise Unrecorded(f"unrecorded: {call.url}")


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


def requests_of(ask: Ask) -> list[str]:
    """The addresses that a question asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls
