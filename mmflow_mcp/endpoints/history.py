"""History: open interest, funding and flow metrics over time, recorded here or by the venues."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from mmflow_mcp.core.archive import FUNDING, OI, SETTLED
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.history import SAMPLE_MS, Line
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.condensing import Rates, by_venue, mean_apr, one_series
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import UNTOLD
from mmflow_mcp.endpoints.spans import Downsample, HistoryQuery, past_of, retention_of
from mmflow_mcp.rows import maybe, told
from mmflow_mcp.series.store import Point, gaps

# The specification keys history points by these; every other venue by its id.
_SHORT = {"hyperliquid": "hl"}
MOST_GAPS = 20


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
    past = await past_of(core, OI, query, ("hyperliquid",), "oi-history")
    now, meta = past.meta["fetchedAt"], past.meta
    known = {line.venue: line for line in past.lines}
    series = [_oi_series(core, query.coin, v.id, known.get(v.id), now) for v in past.venues]
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
    _, lines, meta = await past_of(core, FUNDING, query, ("all",), "funding-history")
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
        fetched_at=meta["fetchedAt"],
        rescaled={short(v.venue): other for v in lines if (other := _other_periods(v))} or None,
    )
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
