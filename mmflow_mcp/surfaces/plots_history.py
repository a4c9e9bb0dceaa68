"""History as lines of plain characters: a small picture for each series."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Any

from mmflow_mcp.surfaces.plots_pen import Pen
from mmflow_mcp.surfaces.plots_rows import known, number, objects

HOUR_MS = 3_600_000
# Neighbours further apart than so many usual distances have a gap between them.
GAP = 1.5
Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """One series: (epoch ms, value), oldest first; `step` is their usual distance, ms."""

    name: str
    kind: str
    points: Points
    step: float

    def stretches(self) -> list[Points]:
        """The points between gaps."""
        parts: list[Points] = []
        for point in self.points:
            if parts and point[0] - parts[-1][-1][0] <= self.step * GAP:
                parts[-1].append(point)
            else:
                parts.append([point])
        return parts


def draw_history(data: Any, meta: dict[str, Any], pen: Pen) -> list[str]:
    """A line for each series: funding in percent a year on one scale, others each on their own."""
    funding = "periodHours" in data
    every = _funding(data) if funding else _values(data, meta)
    lines = [line for line in every if line.points]
    if not lines:
        return []
    span = (min(line.points[0][0] for line in lines), max(line.points[-1][0] for line in lines))
    values = [v for line in lines for _, v in line.points]
    shared = (min(0.0, *values), max(0.0, *values)) if funding else None
    rows = 10 if len(lines) == 1 else 3
    word = "last mean" if "means" in meta.get("condensed", "") else "last"
    out = [*pen.wrapped(_head(data, several=len(lines) > 1)), ""]
    for line in lines:
        out += _panel(line, span, shared, rows, pen, last=word)
    left, right = (_when(at) for at in span)
    out.append(f"{left} UTC".ljust(pen.width - len(right) - 4) + f"{right} UTC")
    bare = [line.name for line in every if not line.points]
    return [*out, *pen.wrapped(f"no history: {', '.join(bare)}" if bare else "")]


def _head(data: dict[str, Any], *, several: bool) -> str:
    coin = data["coin"]
    if "periodHours" in data:
        return f"{coin} funding, % a year (+ longs paid)" + (
            "; one scale for all" if several else ""
        )
    if "metric" in data:
        return f"{coin} {data['metric']}: {data['unit']}"
    own = "; each on its own scale" if several else ""
    return f"{coin} open interest, coins, one-sided{own}"


def _funding(data: dict[str, Any]) -> list[Line]:
    """Each venue's rates as percent a year: objects tell them per the venue's own period."""
    yearly_already = str(data.get("unit", "")).startswith("apr")
    rows = objects(data["points"])
    grid = _usual([row["ts"] for row in rows])
    lines = []
    for venue, hours in data["periodHours"].items():
        kind = data["kinds"].get(venue) or data["kinds"].get("all", "")
        rates = [(row["ts"], row.get("byVenue", row).get(venue)) for row in rows]
        scale = 1.0 if yearly_already else 8760 / hours * 100 if hours else 0.0
        yearly = [(t, rate * scale) for t, rate in rates if known(rate) and scale]
        longest = max(hours, *(data.get("rescaled") or {}).get(venue, ()), 0)
        own = longest * HOUR_MS if kind == "settled" else data["cadenceMs"]
        lines.append(Line(venue, kind, yearly, max(grid, own)))
    return lines


def _values(data: dict[str, Any], meta: dict[str, Any]) -> list[Line]:
    lines = []
    for one in data.get("series") or [data]:
        points = [(row["t"], row["v"]) for row in objects(one.get("points")) if known(row["v"])]
        step = float(one.get("cadenceMs") or 60_000)
        if "condensed" in meta:
            step = max(step, _usual([t for t, _ in points]))
        name = one.get("venue") or one.get("metric") or ""
        lines.append(Line(name, one.get("kind") or "", points, step))
    return lines


def _usual(times: Sequence[float]) -> float:
    return median(b - a for a, b in pairwise(times)) if len(times) > 1 else 0.0


def _panel(
    line: Line,
    span: tuple[float, float],
    shared: tuple[float, float] | None,
    rows: int,
    pen: Pen,
    *,
    last: str,
) -> list[str]:
    values = [v for _, v in line.points]
    low, high = shared or (min(values), max(values))
    labels = [number(high), *[""] * (rows - 2), number(low)]
    left = max(10, *map(len, labels))
    drawn = pen.lines(line.stretches(), span, (low, high), (pen.width - left - 2, rows))
    rule = pen.letter("│", "|")
    at, newest = line.points[-1]
    head = f"{line.name} {line.kind}, {last} {number(newest)} at {_when(at)}"
    picture = [
        f"{label:>{left}} {rule}{pen.paint(text, newest)}".rstrip()
        for label, text in zip(labels, drawn, strict=True)
    ]
    return [head.replace(" ,", ","), *picture, ""]


def _when(at_ms: float) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
