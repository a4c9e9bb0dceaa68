"""Questions of a span of time: when, of whom, and what an answer from history says is missing."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.core.archive import FUNDING, HISTORY, OI, SAMPLED, SOURCES
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.core.history import Line, lines_of, note_late
from mmflow_mcp.core.parts import part
from mmflow_mcp.endpoints.asking import refuse_unknown
from mmflow_mcp.endpoints.composed import refuse_failed
from mmflow_mcp.endpoints.params import UNTOLD, AskedMoment, Query, Venues, coin_of
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.venues import having
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import Funding, OpenInterest

# What tells a metric now, and so which coins a venue lists.
_NOW: dict[str, type] = {FUNDING: Funding, OI: OpenInterest}
_NOT_KEPT = "history is switched off here (MMFLOW_STORE=off)"
_NOTHING_HERE = "nothing was recorded here in this span"
_UNREAD = "what was recorded here cannot be read now"

# How a tool makes many points few.
Downsample = Literal["mean", "lttb"]


class SpanQuery(Query):
    """Which coin, and from when to when."""

    coin: Annotated[str, BeforeValidator(coin_of)] = Field(description="Ticker")
    sinceMs: AskedMoment = Field(  # noqa: N815 - the specification's name
        default=None, description="ms, ISO or -24h. Default: all"
    )
    untilMs: AskedMoment = Field(  # noqa: N815
        default=None, description="Default now"
    )


class HistoryQuery(SpanQuery):
    """Which coin, where, and which kind of series."""

    venues: Venues = Field(default=None, description="Venue ids, or all")
    kind: Literal["sampled", "settled"] | None = Field(
        default=None, description="Default: the fuller", json_schema_extra=UNTOLD
    )


def span_of(core: Core, query: SpanQuery) -> tuple[int, int]:
    """The span asked for: by default everything that is kept, until now.

    Where it begins in the future it is empty, and so is the answer (METHODS 14).
    """
    now = core.pinned_now or core.clock.now_ms()
    since = query.sinceMs.at(now) if query.sinceMs else now - core.archive.retention_ms
    until = query.untilMs.at(now) if query.untilMs else max(now, since)
    if until < since:
        raise BadQuestion("untilMs", "it lies before sinceMs.", fits="a later time")
    return since, until


def asked_venues(
    core: Core, metric: str, named: tuple[str, ...], *, strict: bool = True
) -> list[Venue]:
    """The venues that may know a metric's past: who has it now, or remembers it.

    Raises `BadQuestion` for one that does not; unless `strict` it is left out.
    """
    able = {
        v.id: v
        for v in (*having(_NOW[metric]), *having(SOURCES[metric].capability))
        if v.id not in core.venues_off
    }
    if core.upstream.kind != "replay":
        able = {name: v for name, v in able.items() if v.closed_on is None}
    if named == ("all",):
        return [able[name] for name in sorted(able)]
    for name in named:
        if strict and name not in able:
            off = "is switched off here" if name in core.venues_off else "has no history of this"
            raise BadQuestion("venues", f"{name} {off}.", fits=f"{', '.join(sorted(able))}, or all")
    return [able[name] for name in named if name in able]


class Past(NamedTuple):
    """What was asked of history: the venues, their lines, and the `meta` of the answer."""

    venues: list[Venue]
    lines: list[Line]
    meta: dict[str, Any]


async def past_of(
    core: Core, metric: str, query: HistoryQuery, default: tuple[str, ...], name: str
) -> Past:
    """The lines of a coin, venue by venue; `name` stands in `meta` where no source was needed.

    Raises `BadQuestion` for a coin that nobody lists, and `AllVenuesFailed`.
    """
    span = span_of(core, query)
    venues = asked_venues(core, metric, query.venues or default)
    kind = SAMPLED[metric] if query.kind == "sampled" else query.kind
    lines, whole = await lines_of(core, metric, query.coin, venues, span, kind=kind)
    await _refuse(core, metric, query.coin, venues, lines, whole)
    _note_silent(core, metric, query.coin, venues, lines, whole, span)
    note_late(lines, metric, span[0] if query.sinceMs else None, whole)
    meta = history_meta(core, whole, core.clock.now_ms(), name)
    if not lines:
        refuse_failed(venues, whole, meta)
    return Past(venues, lines, meta)


async def _refuse(
    core: Core,
    metric: str,
    coin: str,
    venues: Sequence[Venue],
    lines: Sequence[Line],
    whole: Gathered,
) -> None:
    """A coin without history that no venue lists now is a mistake, not an empty history."""
    silent = [v for v in venues if v.id not in whole.not_listed.get(coin, ())]
    if lines or whole.partial or core.archive.store is None:
        return
    if silent:
        now = await part(gather(core, _NOW[metric], silent, (coin,)))
        unlisted = whole.not_listed.setdefault(coin, [])
        unlisted += now.not_listed.get(coin, [])
        whole.universe |= now.universe
        if not unlisted:
            del whole.not_listed[coin]
    whole.answered = whole.not_listed.get(coin, [])
    refuse_unknown(whole, (coin,), list(venues), "coin")


def _note_silent(
    core: Core,
    metric: str,
    coin: str,
    venues: Sequence[Venue],
    lines: Sequence[Line],
    whole: Gathered,
    span: tuple[int, int],
) -> None:
    """A venue that was asked and has no point is missing, and never an empty market."""
    if span[0] > core.clock.now_ms():
        # Of what is to come nothing is missing.
        return
    known = {line.venue for line in lines} | {note["source"] for note in whole.notes}
    known |= set(whole.not_listed.get(coin, ()))
    for venue in venues if core.archive.store is not None else ():
        if venue.id in known:
            continue
        remembers = isinstance(venue, SOURCES[metric].capability)
        why = "" if remembers else ", and the venue keeps no record of its own"
        reason = f"missing: {_UNREAD if HISTORY in known else _NOTHING_HERE}{why}"
        whole.notes.append({"source": venue.id, "status": "missing", "reason": reason})
        whole.partial = True


def retention_of(core: Core) -> str:
    """How long samples are kept here, in the specification's words."""
    return f"~{core.archive.retention_ms / DAY_MS:g}d rolling"


def history_meta(core: Core, whole: Gathered, now: int, name: str) -> dict[str, Any]:
    """The envelope's `meta` of an answer from history."""
    prefix = "" if core.upstream.kind == "live" else f"{core.upstream.kind}:"
    parts = dict.fromkeys(s.removeprefix(prefix) for s in whole.sources)
    source = "+".join(parts) or f"mmflow:history:{name}"
    meta: dict[str, Any] = {
        "fetchedAt": now,
        "source": prefix + source,
        "partial": whole.partial,
        "sources": whole.notes,
    }
    if whole.not_listed:
        meta["notListed"] = whole.not_listed
    if core.archive.store is None:
        meta["history"] = _NOT_KEPT
    return meta
