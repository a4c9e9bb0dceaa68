"""The envelope of answers that are put together from several readings."""

from collections.abc import Iterable, Sequence
from typing import Any

from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.endpoints.asking import meta_of
from mmflow_mcp.errors import AllVenuesFailed


def merged(*parts: Gathered) -> Gathered:
    """Several readings as one: what one of them lacks, the whole lacks.

    Alike notes are told once; `fetched_at` is the oldest, `until` the earliest.
    """
    whole = Gathered()
    for part in parts:
        whole.rows += part.rows
        whole.notes += [note for note in part.notes if note not in whole.notes]
        whole.sources += part.sources
        whole.answered += [venue for venue in part.answered if venue not in whole.answered]
        whole.partial = whole.partial or part.partial
        whole.universe |= part.universe
        whole.narrowed |= part.narrowed
        whole.until = min(whole.until, part.until)
        for coin, venues in part.not_listed.items():
            whole.not_listed.setdefault(coin, []).extend(venues)
        read = [at for at in (whole.fetched_at, part.fetched_at) if at is not None]
        whole.fetched_at = min(read, default=None)
    return whole


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


def refuse_nothing(core: Core, name: str, asked: Sequence[str], whole: Gathered) -> None:
    """Raise `AllVenuesFailed` when not one source has answered."""
    if not whole.answered:
        meta = composed_meta(core, name, asked, whole)
        meta["partial"] = True
        raise AllVenuesFailed(whole.notes, meta)


def note(whole: Gathered, source: str, status: str, reason: str) -> None:
    """Say that a source needs attention; what is no more than stale is not missing."""
    said = {"source": source, "status": status, "reason": reason}
    if said not in whole.notes:
        whole.notes.append(said)
    whole.partial = whole.partial or status != "stale"
