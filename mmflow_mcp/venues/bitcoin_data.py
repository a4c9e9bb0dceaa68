"""bitcoin-data.com (BGeometrics): on-chain valuation of bitcoin, one figure per call.

https://api.bgeometrics.com/scalar.html

Without a key 8 calls an hour and 15 a day are free, so each figure is asked once a day, its last
good copy outlives the process, and a refusal is remembered for hours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import pydantic_core

from mmflow_mcp.errors import VenueChanged, VenueError, VenueRateLimited, VenueRejected
from mmflow_mcp.rows.onchain import Valuation
from mmflow_mcp.upstream.budget import Meter
from mmflow_mcp.upstream.wire import DAY, HOUR, Call, Wire, get
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.base import Venue
from mmflow_mcp.venues.coingecko import DAILY_PRICES, parse_daily_closes
from mmflow_mcp.venues.fields import number

HOST = "bitcoin-data.com"
# Whose daily prices the figures are checked with.
_PRICES = "coingecko"
_MEANINGLESS = frozenset({"d", "unixts", "id", "page", "size", "number", "totalpages"})


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure and the UTC day it is of, YYYY-MM-DD."""

    day: str
    value: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that is asked for: our field, its name on the wire, what can be believed."""

    field: str
    slug: str
    name: str
    low: float
    high: float


METRICS = (
    Metric("mvrv_z_score", "mvrv-zscore", "mvrvzscore", -5.0, 20.0),
    Metric("nupl", "nupl", "nupl", -3.0, 1.0),
    Metric("puell_multiple", "puell-multiple", "puellmultiple", 0.0, 30.0),
    Metric("reserve_risk", "reserve-risk", "reserverisk", 0.0, 1.0),
    Metric("realized_cap", "realized-cap", "realizedcap", 1e10, 2e13),
)


def read_figure(metric: Metric, wire: Wire) -> Figure:
    """The newest figure of an answer: an object, a list of them, or a page with `content`.

    Values come as numbers or as text. A day that is not over has no figure yet.
    """
    rows = wire.doc
    if isinstance(rows, dict) and isinstance(rows.get("content"), list):
        rows = rows["content"]
    rows = rows if isinstance(rows, list) else [rows]
    found = [figure for row in rows if (figure := _read_row(metric, row)) is not None]
    if not found:
        raise VenueChanged("missing: the source has no figure yet")
    return max(found, key=lambda figure: figure.day)


def _read_row(metric: Metric, row: dict[str, Any]) -> Figure | None:
    """A row's figure; None where it is not known yet. Raises for one that cannot be believed."""
    day = row["d"]
    date.fromisoformat(day)
    named = {key.lower(): value for key, value in row.items()}
    if metric.name in named:
        value = named[metric.name]
    else:
        others = [v for key, v in named.items() if key not in _MEANINGLESS]
        if len(others) != 1:
            raise VenueChanged(f"changed: {metric.slug} is missing from the answer")
        value = others[0]
    if value is None or str(value).strip().lower() in ("", "nan", "null", "none"):
        return None
    result = number(value)
    if not metric.low < result < metric.high:
        raise VenueChanged(f"changed: {metric.slug} is beyond belief")
    return Figure(day, result)


READERS: dict[str, Callable[[Wire], Figure]] = {m.slug: partial(read_figure, m) for m in METRICS}
CALLS: dict[str, Call] = {
    metric.slug: get(
        f"https://{HOST}/v1/{metric.slug}/last",
        fresh=DAY,
        label=metric.slug,
        optional=True,
        check=READERS[metric.slug],
        keep_on_disk=True,
        patience=4 * HOUR,
    )
    for metric in METRICS
}


class BitcoinData(Venue):
    """Daily valuation figures of bitcoin."""

    id = "bitcoin-data"
    name = "bitcoin-data.com"
    kind = "data"
    aliases = ("bgeometrics",)
    hosts = (HOST,)
    meters = (Meter((HOST,), 8, 3600), Meter((HOST,), 15, 86_400))
    data_source = "bitcoin-data.com (BGeometrics)"
    docs = "https://api.bgeometrics.com/scalar.html"
    notes = ("Figures are daily, and each may be of another day.",)

    def refusal(self, status: int, body: bytes) -> VenueError | None:
        """The quota in two shapes, and an empty answer: a key is wanted."""
        if status == 429:
            return VenueRateLimited(429, "its free quota is used up", _pause(body))
        if status == 200 and not body.strip():
            return VenueRejected("rejected: an empty answer; the source wants a key")
        return None

    async def valuation(self, ask: Ask) -> list[Valuation]:
        """Five figures; those that could not be had are null, none at all is no answer."""
        wires = await ask.all(*(CALLS[metric.slug] for metric in METRICS))
        read = {
            metric.field: (wire, wire.parsed(READERS[metric.slug]))
            for metric, wire in zip(METRICS, wires, strict=True)
            if wire
        }
        if not read:
            return []
        figures = {name: figure for name, (_, figure) in read.items()}
        values = {metric.field: None for metric in METRICS}
        return [
            Valuation(
                asset="bitcoin",
                **values | {name: figure.value for name, figure in figures.items()},  # type: ignore[arg-type]
                as_of_date=min(figure.day for figure in figures.values()),
                fetched_at=min(wire.fetched_at for wire, _ in read.values()),
                as_of_by_metric={name: figure.day for name, figure in figures.items()},
                spot=await _spot(ask, figures),
            )
        ]


def _pause(body: bytes) -> float:
    """Seconds until a retry may succeed: the hour's quota returns within one, the day's later."""
    try:
        doc = pydantic_core.from_json(body)
        error = doc.get("error", doc)
        code = str(error.get("code", "")) if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError):
        return HOUR
    return 6 * HOUR if "DAY" in code.upper() else HOUR


async def _spot(ask: Ask, figures: dict[str, Figure]) -> float | None:
    """The price at the end of the day of NUPL and realised cap, to check them with.

    None where they are of different days, the price cannot be had or its source is switched off:
    then nothing is checked.
    """
    nupl, cap = figures.get("nupl"), figures.get("realized_cap")
    if nupl is None or cap is None or nupl.day != cap.day or _PRICES in ask.off:
        return None
    try:
        prices = await ask.get(DAILY_PRICES)
    except VenueError:
        return None
    return prices.parsed(parse_daily_closes).get(nupl.day)
