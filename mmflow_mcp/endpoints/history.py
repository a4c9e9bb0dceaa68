"""History: open interest, funding and flow metrics over time, recorded here or by the venues."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mmflow_mcp.clock import DAY_MS
from mmflow_mcp.core.archive import FUNDING, HISTORY, OI, SAMPLED, SETTLED, SOURCES
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered, gather
from mmflow_mcp.core.history import SAMPLE_MS, Line, lines_of, note_late
from mmflow_mcp.core.parts import part
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.asking import refuse_unknown
from mmflow_mcp.endpoints.composed import refuse_failed
from mmflow_mcp.endpoints.condensing import Rates, by_venue, mean_apr, one_series
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import UNTOLD, AskedMoment, Query, Venues, coin_of
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.rows import maybe, told
from mmflow_mcp.series.store import Point, gaps
from mmflow_mcp.venues import having
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.capabilities import Funding, OpenInterest

# The specification keys history points by these; every other venue by its id.
_SHORT = {"hyperliquid": "hl"}
# What tells a metric now, and so which coins a venue lists.
_NOW: dict[str, type] = {FUNDING: Funding, OI: OpenInterest}
_NOT_KEPT = "history is switched off here (MMFLOW_STORE=off)"
_NOTHING_HERE = "nothing was recorded here in this span"
_UNREAD = "what was recorded here cannot be read now"
MOST_GAPS = 20


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


class OiHistoryQuery(HistoryQuery):
    """Whose open interest."""

    downsample: Downsample = Field(
        default="mean", description="How a tool makes few points", json_schema_extra=UNTOLD
    )


class FundingHistoryQuery(HistoryQuery):
    """Whose funding."""


@dataclass(frozen=True, slots=True)
class ValuePoint:
    """One value of a series."""

    t: int = told("epoch ms")
    v: float = told("value; in bucket means lo and hi are its extremes", digits="coins")


@dataclass(frozen=True, slots=True)
class OiSeries:
    """Open interest of a coin on one venue, oldest first; what is missing is absent."""

    coin: str = told("canonical ticker")
    venue: str = told("venue id")
    points: Table[ValuePoint] = told("open interest, coins, one-sided")
    cadence_ms: int = told("usual distance of points, ms")
    retention: str = told("how long samples are kept here", brief=False)
    enabled: bool = told("false: no history is kept here")
    fetched_at: int = told("when this was read, epoch ms", brief=False)
    kind: str | None = maybe("sampled here, or settled: the venue's own record", brief=True)
    gaps: tuple[tuple[int, int], ...] | None = maybe("stretches without points, epoch ms")


@dataclass(frozen=True, slots=True)
class OiHistoryAnswer:
    """One venue's series, in the specification's shape, or several in `series`."""

    coin: str = told("as asked")
    venue: str | None = maybe("venue id", brief=True)
    points: Table[ValuePoint] | None = maybe("open interest, coins, one-sided", brief=True)
    cadence_ms: int | None = maybe("usual distance of points, ms", brief=True)
    retention: str | None = maybe("how long samples are kept here")
    enabled: bool | None = maybe("false: no history is kept here", brief=True)
    fetched_at: int | None = maybe("when this was read, epoch ms")
    kind: str | None = maybe("sampled here, or settled: the venue's own record", brief=True)
    gaps: tuple[tuple[int, int], ...] | None = maybe("stretches without points, epoch ms")
    series: list[OiSeries] | None = maybe("by venue, where several were asked", brief=True)


@dataclass(frozen=True, slots=True)
class VenuePoint:
    """One moment, and each venue's value then."""

    ts: int = told("epoch ms")
    by_venue: dict[str, float] = told("venue -> rate per periodHours; absent = unknown")


@dataclass(frozen=True, slots=True)
class FundingHistoryAnswer:
    """Funding of a coin over time, venue by venue."""

    coin: str = told("as asked")
    points: Table[VenuePoint] = told("oldest first; a venue without a value then is absent")
    cadence_ms: int = told("usual distance of points, ms")
    retention: str = told("how long samples are kept here", brief=False)
    enabled: bool = told("false: no history is kept here")
    unit: str = told("what the values are: fraction per periodHours, or apr in a tool's columns")
    kinds: dict[str, str] = told(
        "venue, or all -> predicted (sampled here) or settled (really paid)"
    )
    period_hours: dict[str, float] = told("venue -> hours that its newest rate is for")
    fetched_at: int = told("when this was read, epoch ms", brief=False)
    mean_apr: dict[str, float] | None = maybe(
        "venue -> mean over the span, percent a year, beside a tool's columns", brief=True
    )
    rescaled: dict[str, list[float]] | None = maybe(
        "venue -> other periods it had, in hours; those rates are told per periodHours", brief=True
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


@endpoint(
    "/perps/oi/history",
    title="Open interest history",
    ttl=60,
    example={"coin": "BTC", "venues": ["binance"], "sinceMs": "-24h"},
    keeps="bucket means, lo and hi; 0 = all",
    limit=42,
    budget="points",
    detail=False,
    condense=one_series,
)
async def get_oi_history(core: Core, query: OiHistoryQuery) -> Answer[OiHistoryAnswer]:
    """Open interest of a coin over time, on one venue or several.

    For now use get_oi. v in coins, one-sided. Default hl, known only since recording began; others
    are filled from the venue's own record (settled).
    """
    span = span_of(core, query)
    venues = asked_venues(core, OI, query.venues or ("hyperliquid",))
    lines, whole = await lines_of(core, OI, query.coin, venues, span, kind=_kind(OI, query.kind))
    await _refuse(core, OI, query.coin, venues, lines, whole)
    _note_silent(core, OI, query.coin, venues, lines, whole, span)
    note_late(lines, OI, span[0] if query.sinceMs else None, whole)
    now = core.clock.now_ms()
    known = {line.venue: line for line in lines}
    series = [_oi_series(core, query.coin, v.id, known.get(v.id), now) for v in venues]
    meta = history_meta(core, whole, now, "oi-history")
    if not lines:
        refuse_failed(venues, whole, meta)
    if len(series) > 1:
        return Answer(OiHistoryAnswer(coin=query.coin, series=series), meta)
    (one,) = series
    data = OiHistoryAnswer(
        coin=one.coin,
        venue=one.venue,
        points=one.points,
        cadence_ms=one.cadence_ms,
        retention=one.retention,
        enabled=one.enabled,
        fetched_at=one.fetched_at,
        kind=one.kind,
        gaps=one.gaps,
    )
    return Answer(data, meta)


def _kind(metric: str, asked: str | None) -> str | None:
    return SAMPLED[metric] if asked == "sampled" else asked


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


def _oi_series(core: Core, coin: str, venue: str, line: Line | None, now: int) -> OiSeries:
    points = line.points if line else ()
    cadence = line.cadence_ms if line else SAMPLE_MS
    holes = gaps(points, cadence)[-MOST_GAPS:]
    return OiSeries(
        coin=coin,
        venue=venue,
        points=Table(
            ValuePoint, [ValuePoint(p.t, p.v) for p in points if p.v is not None], _newest
        ),
        cadence_ms=cadence,
        retention=retention_of(core),
        enabled=core.archive.store is not None,
        fetched_at=now,
        kind=line.kind if line else None,
        gaps=tuple((g.after, g.before) for g in holes) or None,
    )


def _newest(row: ValuePoint) -> float:
    return float(row.t)


@endpoint(
    "/perps/funding/history",
    title="Funding history",
    ttl=60,
    example={"coin": "BTC", "sinceMs": "-24h"},
    keeps="bucket means; 0 = all",
    limit=14,
    budget="points",
    detail=False,
    condense=by_venue,
    on_rest="Fractions per the venue's own periodHours, + = longs paid: rates of other periods do"
    " not compare. kinds: settled (paid) or predicted. For now use get_funding.",
)
async def get_funding_history(
    core: Core, query: FundingHistoryQuery
) -> Answer[FundingHistoryAnswer]:
    """Funding rates of a coin over time, venue by venue.

    For now use get_funding, for what is unusual get_funding_regime. In apr, percent a year, so
    venues compare; + = longs paid; meanApr: of the span; kinds: settled (paid) or predicted.
    """
    span = span_of(core, query)
    venues = asked_venues(core, FUNDING, query.venues or ("all",))
    kind = _kind(FUNDING, query.kind)
    lines, whole = await lines_of(core, FUNDING, query.coin, venues, span, kind=kind)
    await _refuse(core, FUNDING, query.coin, venues, lines, whole)
    _note_silent(core, FUNDING, query.coin, venues, lines, whole, span)
    note_late(lines, FUNDING, span[0] if query.sinceMs else None, whole)
    now = core.clock.now_ms()
    means = {short(v.venue): mean_apr(v.points, settled=v.kind == SETTLED) for v in lines}
    data = FundingHistoryAnswer(
        coin=query.coin,
        points=Rates(
            VenuePoint,
            _joined(lines),
            lambda row: float(row.ts),
            mean_apr={venue: mean for venue, mean in means.items() if mean is not None},
        ),
        cadence_ms=min((line.cadence_ms for line in lines), default=SAMPLE_MS),
        retention=retention_of(core),
        enabled=core.archive.store is not None,
        unit="fraction per periodHours, + = longs paid",
        kinds={short(line.venue): line.kind for line in lines},
        period_hours={short(line.venue): _plain(_hours(line.points[-1])) for line in lines},
        fetched_at=now,
        rescaled={short(v.venue): other for v in lines if (other := _other_periods(v))} or None,
    )
    meta = history_meta(core, whole, now, "funding-history")
    if not lines:
        refuse_failed(venues, whole, meta)
    return Answer(data, meta)


def short(venue: str) -> str:
    """A venue as history points are keyed: hl, binance, ..."""
    return _SHORT.get(venue, venue)


def _hours(point: Point) -> float:
    return float((point.extra or {}).get("periodHours", 0.0))


def _plain(hours: float) -> float:
    """Whole hours without a decimal point."""
    return int(hours) if hours.is_integer() else hours


def _other_periods(line: Line) -> list[float]:
    return sorted({h for p in line.points if (h := _hours(p))} - {_hours(line.points[-1])})


def _joined(lines: Sequence[Line]) -> list[VenuePoint]:
    """Moments of all venues; a rate of another period is told per the newest one."""
    rows: dict[int, dict[str, float]] = {}
    for line in lines:
        newest = _hours(line.points[-1])
        for point in line.points:
            hours = _hours(point)
            if point.v is not None and hours:
                rate = point.v if hours == newest else point.v * newest / hours
                rows.setdefault(point.t, {})[short(line.venue)] = rate
    return [VenuePoint(t, rows[t]) for t in sorted(rows)]
