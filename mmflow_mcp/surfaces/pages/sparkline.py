"""The last requests to a venue as small bars, with the same in words."""

from statistics import median

from mmflow_mcp.surfaces.pages.element import Html, tag
from mmflow_mcp.surfaces.pages.words import many, milliseconds
from mmflow_mcp.upstream.health import RECENT

# Units of the drawing: a bar with its gap, and the height, of which a failure takes all.
STEP, HEIGHT, MOST = 3, 24, 19
WIDTH = RECENT * STEP


def in_words(recent: list[float | None]) -> str:
    """What the bars show."""
    good = [ms for ms in recent if ms is not None]
    failed = len(recent) - len(good)
    told = f"Last {many(len(recent), 'request')}: "
    if good:
        told += f"median {milliseconds(median(good))}, slowest {milliseconds(max(good))}"
    if failed:
        told += f"{', ' if good else ''}{failed:,} failed"
    return told


def sparkline(recent: list[float | None]) -> Html:
    """Milliseconds as bars, oldest left, newest at the right edge; None is a failure."""
    top = max((ms for ms in recent if ms is not None), default=0.0) or 1.0
    left = WIDTH - len(recent) * STEP
    bars = [_bar(left + place * STEP, ms, top) for place, ms in enumerate(recent)]
    return tag(
        "svg",
        tag("line", x1=0, y1=HEIGHT, x2=WIDTH, y2=HEIGHT, class_="base"),
        bars,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        class_="bars",
        role="img",
        aria_label=in_words(recent),
    )


def _bar(x: int, ms: float | None, top: float) -> Html:
    width = STEP - 1
    if ms is None:
        return tag("rect", x=x, y=0, width=width, height=HEIGHT, class_="failed")
    height = max(1.0, round(ms / top * MOST, 1))
    return tag("rect", x=x, y=HEIGHT - height, width=width, height=height)
