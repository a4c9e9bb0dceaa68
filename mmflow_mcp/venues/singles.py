"""Asking symbol by symbol for what a bulk answer was refused for, or does not hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmflow_mcp.errors import Unrecorded, VenueError, VenueRejected
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask

# What tells that one request cannot be had although the venue can; a failing network does not.
REFUSALS = (Unrecorded, VenueRejected)
# So many symbols that a bulk answer lacks are worth a request each.
FEW = 8


def tells_refusal(reason: str) -> bool:
    """Whether a shortfall's reason is that of a refused request."""
    return reason.startswith(("unrecorded", "rejected", "http 404"))


@dataclass(frozen=True, slots=True)
class Singles:
    """Answers by symbol, and why the other symbols have none."""

    found: dict[str, Wire] = field(default_factory=dict)
    failed: dict[str, VenueError] = field(default_factory=dict)

    @property
    def unheard(self) -> dict[str, VenueError]:
        """What failed without the venue saying that there is no such symbol."""
        return {s: e for s, e in self.failed.items() if not isinstance(e, VenueRejected)}


async def ask_singly(ask: Ask, forms: Mapping[str, Sequence[Call]]) -> Singles:
    """One answer per symbol, of the first of its forms of request that is not refused.

    One after the other: this is rare, and a venue that fails for another reason than the request
    is not asked again for the rest.
    """
    singles = Singles()
    broken: VenueError | None = None
    for symbol, calls in forms.items():
        for call in calls:
            if broken is not None:
                break
            try:
                singles.found[symbol] = await ask.get(call)
                break
            except REFUSALS as refusal:
                singles.failed.setdefault(symbol, refusal)
            except VenueError as error:
                broken = error
        if symbol in singles.found:
            singles.failed.pop(symbol, None)
        elif broken is not None:
            singles.failed[symbol] = broken
    return singles


async def ask_some(ask: Ask, calls: Sequence[Call]) -> list[Wire]:
    """The answers in the order of the calls, all optional, `NOTHING` for what failed.

    Raises the first one's error if all of them failed.
    """
    wires = await ask.all(*calls)
    if wires and not any(wires):
        wires[0] = await ask.get(calls[0])
    return wires
