"""What the venues' feeds of liquidations have in common."""

from collections.abc import Mapping, Sequence

from mmflow_mcp.errors import VenueRejected
from mmflow_mcp.upstream.wire import Wire
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.contracts import Contract

CHANNEL = "liquidations"
# More contracts than any venue lists, where one subscription covers all.
MANY = 10_000
# A day is summed: a feed is not given up for a pause between two questions.
IDLE = 3600.0


def by_name(listed: Sequence[tuple[str, Contract]]) -> Mapping[str, str]:
    """Every contract by the name that the socket calls it."""
    return {name: name for name, _ in listed}


def require(ask: Ask, wires: Sequence[Wire]) -> None:
    """Raise what was said of a list that could not be had: half a list counts half of a coin."""
    if not wires or not all(wires):
        told = "; ".join(ask.shortfalls[:2])
        raise VenueRejected(told or "missing: the list of contracts could not be had")
