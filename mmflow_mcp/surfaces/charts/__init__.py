"""The charts that hosts of MCP Apps show beside an answer: which there are, and their pages.

A page is one file of HTML that asks for nothing: it is put together from the files beside this
one when it is read, and draws the tool result that the host hands to it.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Chart:
    """One page and the tools whose answers it draws."""

    title: str
    description: str
    tools: tuple[str, ...]


CHARTS = {
    "funding": Chart(
        "Funding heat map", "Funding by coin and venue, percent a year", ("get_funding",)
    ),
    "gex": Chart(
        "Gamma exposure", "Dealer gamma by strike with walls, flip and spot", ("get_gex",)
    ),
    "skew": Chart(
        "Volatility", "Term structure at the money and the smile of an expiry", ("get_skew",)
    ),
    "history": Chart(
        "History lines",
        "Funding, open interest or a flow metric over time",
        ("get_funding_history", "get_oi_history", "get_flow_history"),
    ),
    "flows": Chart("Flow pulse", "Flow pressure by coin, and its parts", ("get_flow_summary",)),
}
_CHART_OF = {tool: name for name, chart in CHARTS.items() for tool in chart.tools}
CHARTED = tuple(_CHART_OF)


def uri_of(name: str) -> str:
    """The address of a chart."""
    return f"ui://mmflow/{name}.html"


def chart_of(tool: str) -> str | None:
    """The address of a tool's chart; None for a tool that has none."""
    name = _CHART_OF.get(tool)
    return uri_of(name) if name else None


@cache
def page(name: str) -> str:
    """A chart's page: whole, self-contained HTML."""
    script = "\n".join(map(_lean, ("base.js", "marks.js", f"{name}.js", "bridge.js")))
    html = _lean("page.html").replace("@TITLE", CHARTS[name].title)
    return html.replace("@STYLE", _lean("base.css")).replace("@SCRIPT", script)


def _lean(name: str) -> str:
    """A file's text without indentation, empty lines and lines of comment."""
    lines = files(__name__).joinpath(name).read_text("utf-8").splitlines()
    kept = (line.strip() for line in lines)
    return "\n".join(line for line in kept if line and not line.startswith("//"))
