"""Long series in few points, for a model: bucket means with their extremes, never over a gap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from typing import Any

from mmflow_mcp.analytics.downsampling import Pair, buckets, shape, split
from mmflow_mcp.analytics.rates import apr
from mmflow_mcp.endpoints.answer import Table
from mmflow_mcp.rows import told
from mmflow_mcp.series.store import Point

# What the columns of `by_venue` are in.
APR = "apr: percent a year, + = longs paid"
# Neighbours further apart than so many cadences have a gap between them.
GAP = 1.5


@dataclass(frozen=True, slots=True)
class BucketPoint:
    """Neighbouring points in one."""

    t: int = told("the first of them, epoch ms")
    v: float = told("their mean", digits="mean")
    lo: float = told("the lowest", digits="mean")
    hi: float = told("the highest", digits="mean")


@dataclass(frozen=True, slots=True)
class Rates(Table[Any]):
    """Moments of all venues. `mean_apr`: each venue's over the span, percent a year."""

    mean_apr: Mapping[str, float] = field(default_factory=dict)


def one_series(data: Any, budget: int, form: str, query: Any) -> tuple[Any, str]:  # noqa: ARG001
    """The answer with each table `points` in bucket means, and the words to say so.

    Several series share the budget; 0 leaves every point. A question for `lttb` gets the points
    that keep the shape of the line instead.
    """
    tables = [one for one in (data, *(getattr(data, "series", None) or ())) if _points(one)]
    total = sum(len(_points(one)) for one in tables)
    if not budget or total <= budget:
        return data, ""
    share = max(1, budget // len(tables))
    lttb = getattr(query, "downsample", "mean") == "lttb"
    what = "LTTB picks" if lttb else "bucket means"
    lost = sum(max(0, len(split(_pairs(one), _widest(one))) - share) for one in tables)
    but = f" but {lost} short stretches between gaps" if lost else ""
    said = f"{what} of {total} points{but}; points=0 for all, or a shorter span"
    if getattr(data, "series", None):
        return replace(data, series=[_condensed(one, share, lttb) for one in data.series]), said
    return _condensed(data, share, lttb), said


def _points(one: Any) -> Sequence[Any]:
    table = getattr(one, "points", None)
    return table.rows if isinstance(table, Table) else ()


def _pairs(one: Any) -> list[Pair]:
    return [(row.t, row.v) for row in _points(one)]


def _widest(one: Any) -> float:
    return GAP * cadence_of(one)


def _condensed(one: Any, budget: int, lttb: bool) -> Any:  # noqa: FBT001 - a shape is one of two
    rows = _points(one)
    if not rows:
        return one
    pairs, widest = _pairs(one), _widest(one)
    if lttb:
        kept = {t for t, _ in shape(pairs, budget, widest)}
        table = one.points
        return replace(one, points=replace(table, rows=[row for row in rows if row.t in kept]))
    found = buckets(pairs, budget, widest)
    points = [BucketPoint(round(b.t), b.mean, b.low, b.high) for b in found]
    return replace(one, points=Table(BucketPoint, points, lambda row: float(row.t)))


def cadence_of(one: Any) -> float:
    """The usual distance of points: told, or a minute."""
    told_ms = getattr(one, "cadence_ms", None)
    return float(told_ms) if told_ms else 60_000.0


def by_venue(data: Any, budget: int, form: str, query: Any) -> tuple[Any, str]:  # noqa: ARG001
    """Rates by venue on one common grid of at most `budget` rows, each the mean of its cell.

    As columns each venue is named once and its rates are yearly, so that one column can be held
    against another; 0 leaves every moment. Cells hold unlike numbers of payments: the mean of the
    span is told beside them.
    """
    rows = data.points.rows
    venues = list(data.kinds)
    if budget and len(rows) > budget:
        said = f"means of {len(rows)} points; points=0 for all, or a shorter span"
        cells = _cells(rows, budget)
    else:
        said = ""
        cells = [(row.ts, {v: [x] for v, x in row.by_venue.items()}) for row in rows]
    means = [(ts, {v: sum(x) / len(x) for v, x in found.items()}) for ts, found in cells]
    if form == "columns":
        points = _yearly(data, venues, means, bool(said))
        same = set(data.kinds.values())
        kinds = {"all": same.pop()} if len(same) == 1 else data.kinds
        means_of_all = data.points.mean_apr
        return replace(data, points=points, unit=APR, mean_apr=means_of_all, kinds=kinds), said
    # A mean has no more digits than it means; a rate of the venue keeps its own.
    digits = 6 if said else 12
    points = [
        {"ts": ts, "byVenue": {v: float(f"{x:.{digits}g}") for v, x in found.items()}}
        for ts, found in means
    ]
    return replace(data, points=points), said


def _yearly(data: Any, venues: Sequence[str], means: Sequence[Any], rounded: bool) -> Any:  # noqa: FBT001 - as it is
    """The means as a table of percent a year: METHODS' two decimals, or all that a rate tells."""
    hours = data.period_hours

    def yearly(venue: str, rate: float | None) -> float | int | None:
        if rate is None or not hours[venue]:
            return None
        percent = apr(rate, hours[venue])
        short = round(percent, 2) if rounded else float(f"{percent:.12g}")
        return int(short) if short.is_integer() else short

    grid = [[ts, *(yearly(v, found.get(v)) for v in venues)] for ts, found in means]
    return {"columns": ["ts", *venues], "rows": grid}


def mean_apr(points: Sequence[Point], *, settled: bool) -> float | None:
    """Percent a year of a span of rates, None where no period is known.

    Settled ones were paid one after the other: all that was paid, over the hours that it was paid
    for, so that a day of hourly payments weighs no more than a day of one every eight hours.
    Samples are equally far apart, whatever their hours.
    """
    paid = [(p.v or 0.0, hours) for p in points if (hours := (p.extra or {}).get("periodHours"))]
    if not paid:
        return None
    if settled:
        return round(apr(fsum(rate for rate, _ in paid), fsum(hours for _, hours in paid)), 2)
    return round(fsum(apr(rate, hours) for rate, hours in paid) / len(paid), 2)


def _cells(rows: Sequence[Any], budget: int) -> list[tuple[int, dict[str, list[float]]]]:
    first, last = rows[0].ts, rows[-1].ts
    width = max(1, -(-(last - first + 1) // budget))
    cells: dict[int, dict[str, list[float]]] = {}
    for row in rows:
        found = cells.setdefault(first + (row.ts - first) // width * width, {})
        for venue, value in row.by_venue.items():
            found.setdefault(venue, []).append(value)
    return sorted(cells.items())
