"""The envelope of answers that are put together from several readings."""

from collections.abc import Iterable, Sequence
from typing import Any

from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.endpoints.asking import meta_of
from mmflow_mcp.errors import AllVenuesFailed
from mmflow_mcp.venues.base import Venue


def composed_meta(
    core: Core, name: str, sources: Iterable[str], whole: Gathered, **more: Any
) -> dict[str, Any]:
    """The envelope's `meta`, with its source in the specification's form.

    `flows:NAME:SOURCE+SOURCE`, after `sim:` or `replay:` where the bytes came from there; `sources`
    are the ones that contributed.
    """
    meta = meta_of(core, whole, **more)
    meta["source"] = named(core, name, sources)
    return meta


def named(core: Core, name: str, sources: Iterable[str]) -> str:
    """How `meta.source` names a composed answer."""
    who = "+".join(dict.fromkeys(sources))
    return prefixed(core, f"flows:{name}" + (f":{who}" if who else ""))


def prefixed(core: Core, source: str) -> str:
    """A source's name as `meta.source` tells it: what is not the live market says so."""
    return source if core.upstream.kind == "live" else f"{core.upstream.kind}:{source}"


def fleet_note(core: Core) -> dict[str, str]:
    """For `meta` of what the tape tells: why it is this replica's alone, where it should not be."""
    relay = core.tape.relay
    return {} if relay is None or relay.reason is None else {"fleet": relay.reason}


def refuse_nothing(core: Core, name: str, asked: Sequence[str], whole: Gathered) -> None:
    """Raise `AllVenuesFailed` when not one source has answered."""
    if not whole.answered:
        meta = composed_meta(core, name, asked, whole)
        meta["partial"] = True
        raise AllVenuesFailed(whole.notes, meta)


def refuse_failed(venues: Sequence[Venue], whole: Gathered, meta: dict[str, Any]) -> None:
    """Of what is empty: raise `AllVenuesFailed` where every venue that was asked has failed.

    One that is only slow, or keeps no record, has not: what it answers is empty and partial.
    """
    failed = {note["source"] for note in whole.notes if note["status"] == "error"}
    if venues and failed.issuperset(venue.id for venue in venues):
        raise AllVenuesFailed(whole.notes, meta)
