"""A few answers and nothing else: what an adapter makes of recordings that are no whole."""

from typing import Any

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import Unrecorded, VenueError
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask

AT = 1_789_412_345_678
HOUR = 3_600_000


class Excerpt:
    """Stands where `Upstream` stands and holds these answers only.

    A document is read at `AT`, or at the time of a pair (document, epoch ms); an error is raised.
    """

    kind = "replay"

    def __init__(self, answers: dict[Call, Any]) -> None:
        self.clock = FixedClock(AT)
        self.asked: list[str] = []
        self._answers = {call.key: answer for call, answer in answers.items()}
        self._known: dict[tuple[str, bytes | None], Wire] = {}

    def peek(self, call: Call) -> Wire | None:
        """Only what was fetched before."""
        return self._known.get(call.key)

    async def fetch(self, call: Call, deadline: float) -> tuple[Wire, str | None]:
        """The answer held; without one the request was not recorded."""
        self.asked.append(call.url)
        if call.key not in self._answers:
            raise Unrecorded(f"unrecorded: {call.method} {call.url.removeprefix('https://')}")
        answer = self._answers[call.key]
        if isinstance(answer, VenueError):
            raise answer.fresh()
        doc, at = answer if isinstance(answer, tuple) else (answer, AT)
        wire = self._known[call.key] = Wire(doc, fetched_at=at, read=0.0, size=1)
        return wire, None


def asking_for(venue: str, coins: str, answers: dict[Call, Any]) -> Ask:
    """A question about these coins (with a blank between them; none: all) over an excerpt."""
    named = tuple(coins.split()) or None
    return Ask(venue, Excerpt(answers), coins=named, deadline=1e9)  # type: ignore[arg-type]


def asked_of(ask: Ask) -> list[str]:
    """What was requested, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls
