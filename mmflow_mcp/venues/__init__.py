"""The roll of venues: found by path, asked by capability.

A new venue is one new file in this folder with one `Venue` subclass; no list is kept anywhere.
"""

import importlib
import pkgutil
from functools import cache

from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import CAPABILITIES, FEEDS

# The flags that the specification's catalogue shows for every venue, implemented or not.
SPECIFIED_FLAGS = ("oi", "funding", "spot", "liquidations", "options", "predictions")


@cache
def roll() -> dict[str, Venue]:
    """Every venue by id, in order of id."""
    found: dict[str, Venue] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for member in vars(module).values():
            if (
                isinstance(member, type)
                and issubclass(member, Venue)
                and member is not Venue
                and member.__module__ == module.__name__
            ):
                if member.id in found:
                    msg = f"two venues call themselves {member.id}"
                    raise TypeError(msg)
                found[member.id] = member()
    return dict(sorted(found.items()))


@cache
def having(capability: type | tuple[type, ...]) -> tuple[Venue, ...]:
    """The venues that implement a capability, or one of several, closed ones included, by id."""
    return tuple(venue for venue in roll().values() if isinstance(venue, capability))


@cache
def by_name() -> dict[str, Venue]:
    """Ids and aliases, folded to lower case without `-`, `_`, `.` and blanks, to the venue."""
    names: dict[str, Venue] = {}
    for venue in roll().values():
        for name in (venue.id, venue.name, *venue.aliases):
            other = names.setdefault(fold(name), venue)
            if other is not venue:
                msg = f"{name} names both {other.id} and {venue.id}"
                raise TypeError(msg)
    return names


def fold(name: str) -> str:
    """A venue name as it is compared."""
    return "".join(c for c in name.casefold() if c not in "-_. ")


def capabilities(venue: Venue) -> dict[str, bool]:
    """What a venue implements: the specification's flags first, then ours."""
    flags = dict.fromkeys(SPECIFIED_FLAGS, False)
    flags.update({name: isinstance(venue, cap) for name, cap in CAPABILITIES.items()})
    flags.update({name: True for name, feed in FEEDS.items() if isinstance(venue, feed)})
    return flags


def listed() -> list[Venue]:
    """The venues of the catalogue: everything but mere data sources."""
    return [venue for venue in roll().values() if venue.kind != "data"]
