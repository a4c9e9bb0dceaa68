"""What every venue declares, and the check that keeps capabilities honest."""

import inspect
from functools import cache
from typing import ClassVar

from mmflow_mcp.errors import VenueError
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.venues.capabilities import CAPABILITIES


def _methods(capability: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in vars(capability).items()
        if inspect.iscoroutinefunction(member)
    }


CAPABILITY_METHODS: dict[str, inspect.Signature] = {
    name: signature
    for capability in CAPABILITIES.values()
    for name, signature in _methods(capability).items()
}


@cache
def capability_method(capability: type) -> str:
    """The name of the method that a capability consists of."""
    (name,) = _methods(capability)
    return name


class Venue:
    """One venue or data source. Stateless: a subclass declares, its methods ask and parse.

    `kind`: cex, dex, prediction, tradfi, or data for a source that is no venue and stands in no
    catalogue (ETF tables, exchange rates). `status`: live, planned or closed.
    `closed_on`: the date of the closure, where the venue has closed.
    `always`: coins that it lists without doubt: an answer without them has lost rows.
    `meters`: what it publishes of its rate limits. `default_coins`: the universe answered when no
    coin is named and the venue cannot bring its whole one. `notes`: what a reader of its numbers
    must know (sidedness, what a rate means), shown in the catalogue.
    """

    id: ClassVar[str]
    name: ClassVar[str]
    kind: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    hosts: ClassVar[tuple[str, ...]] = ()
    meters: ClassVar[tuple[Meter, ...]] = ()
    status: ClassVar[str] = "live"
    closed_on: ClassVar[str | None] = None
    data_source: ClassVar[str] = ""
    docs: ClassVar[str] = ""
    always: ClassVar[tuple[str, ...]] = ()
    default_coins: ClassVar[tuple[str, ...] | None] = None
    notes: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Refuse a public async method that is no capability, or that differs in signature.

        What a class inherits counts as its own.
        """
        super().__init_subclass__()
        for name, member in inspect.getmembers(cls):
            declared = CAPABILITY_METHODS.get(name)
            if declared is None:
                if inspect.iscoroutinefunction(member) and not name.startswith("_"):
                    fits = sorted(CAPABILITY_METHODS)
                    msg = f"{cls.__name__}.{name} is no capability; fits: {fits}"
                    raise TypeError(msg)
                continue
            if not inspect.iscoroutinefunction(member):
                msg = f"{cls.__name__}.{name} must be an async method"
                raise TypeError(msg)
            if list(inspect.signature(member).parameters) != list(declared.parameters):
                msg = f"{cls.__name__}.{name} must have the signature {declared}"
                raise TypeError(msg)

    def refusal(self, status: int, body: bytes) -> VenueError | None:  # noqa: ARG002
        """The venue's own way of refusing (an error inside HTTP 200, say), or None."""
        return None
