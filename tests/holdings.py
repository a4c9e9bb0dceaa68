"""For tests of positioning and liquidations: asks over our samples, or over answers put in by hand.

The samples of these questions stand in files of their own, tests/wire/<venue>-positions.har.
"""

from collections.abc import Mapping
from typing import Any

from wires import SAMPLES, Answers

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.errors import Unrecorded, VenueError
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask

# When our samples were read, and the ends of their newest closed samples.
READ_AT = 1_789_412_345_678
QUARTER, SIX_PM, FOUR_PM = 1_789_411_500_000, 1_789_408_800_000, 1_789_401_600_000


def wire(doc: Any, read_at: int = READ_AT) -> Wire:
    """An answer that holds this document."""
    return Wire(doc, fetched_at=read_at, read=0.0, size=1)


class Told:
    """Stands where `Upstream` stands: documents by a part of the address; the first that fits.

    A document may be an error, which is raised, or a function of the address.
    """

    kind = "replay"

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.clock = FixedClock(READ_AT)
        self.asked: list[str] = []
        self._answers = answers

    def peek(self, call: Call) -> Wire | None:
        """Nothing is kept."""
        return None

    async def fetch(self, call: Call, deadline: float) -> tuple[Wire, str | None]:
        """The document, or the error, put in by hand."""
        self.asked.append(call.url)
        for part, doc in self._answers.items():
            if part in call.url:
                found = doc(call.url) if callable(doc) else doc
                if isinstance(found, VenueError):
                    raise found
                return wire(found), None
        raise Unrecorded(f"unrecorded: {call.url}")


def sampled(
    venue: str, *coins: str, failing: dict[str, VenueError] | None = None, **options: Any
) -> Ask:
    """An ask over the venue's samples of these questions."""
    answers = Answers(SAMPLES / f"{venue}-positions.har", failing)
    return Ask(venue, answers, coins=coins or None, deadline=1e9, options=options)  # type: ignore[arg-type]


def told(venue: str, answers: Mapping[str, Any], *coins: str, **options: Any) -> Ask:
    """An ask over answers put in by hand."""
    return Ask(venue, Told(answers), coins=coins or None, deadline=1e9, options=options)  # type: ignore[arg-type]


def asked(ask: Ask) -> list[str]:
    """The addresses that were really asked, in order."""
    urls: list[str] = ask._upstream.asked  # type: ignore[attr-defined]
    return urls
