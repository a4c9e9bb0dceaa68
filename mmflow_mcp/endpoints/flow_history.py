"""History of flow metrics, minute by minute, as they were recorded here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.core.history import flow_key, only_since
from mmflow_mcp.core.readings import FLOW_COINS
from mmflow_mcp.endpoints.answer import Answer, Table
from mmflow_mcp.endpoints.condensing import one_series
from mmflow_mcp.endpoints.declare import endpoint
from mmflow_mcp.endpoints.params import UNTOLD
from mmflow_mcp.endpoints.spans import Downsample, SpanQuery, history_meta, retention_of, span_of
from mmflow_mcp.errors import BadQuestion, MmflowError
from mmflow_mcp.metrics.flows import FLOW_METRICS
from mmflow_mcp.rows import told
from mmflow_mcp.series.store import Point

# Minutes that begin so much after the moment asked for are worth a word.
LATE_MS = 600_000
_NOTHING_YET = (
    "nothing was recorded in this span: flows are known from when this server began to record them"
)


class FlowHistoryQuery(SpanQuery):
    """Which flow metric of which coin."""

    metric: Literal[
        "flowPressureScore",
        "coinbasePremiumBps",
        "kimchiPremiumBps",
        "etfLatestTotalUsdm",
        "coinbaseTapeDeltaUsd5m",
        "hlMicroNetUsd5m",
        "venueSpreadDispersionBps",
        "sourcePartial",
    ] = Field(description="Which metric")
    interval: Literal["1m"] = Field(default="1m", description="1m")
    downsample: Downsample = Field(
        default="mean", description="How a tool makes few points", json_schema_extra=UNTOLD
    )


@dataclass(frozen=True, slots=True)
class FlowPoint:
    """One minute of a metric, as good as its sources were then."""

    t: int = told("epoch ms")
    v: float = told("value", digits="coins")
    partial: bool = told("a source was missing in that minute", brief=False)
    stale: bool = told("a part was stale in that minute", brief=False)
    source: str = told("what was read", brief=False)
    sources: tuple[str, ...] = told("which sources needed attention", brief=False)
    coverage: dict[str, str] = told("how good each part was", brief=False)


@dataclass(frozen=True, slots=True)
class FlowHistoryAnswer:
    """A flow metric of a coin, minute by minute, oldest first."""

    coin: str = told("as asked")
    metric: str = told("as asked")
    unit: str = told("what the values are")
    interval: str = told("1m", brief=False)
    points: Table[FlowPoint] = told("minutes that were recorded; the others are absent")
    retention: str = told("how long samples are kept here", brief=False)
    enabled: bool = told("false: no history is kept here")
    fetched_at: int = told("when this was read, epoch ms", brief=False)


@endpoint(
    "/flows/history",
    title="Flow history",
    ttl=30,
    example={"coin": "BTC", "metric": "flowPressureScore", "sinceMs": "-24h"},
    keeps="bucket means, lo and hi; 0 = all",
    limit=42,
    budget="points",
    detail=False,
    condense=one_series,
)
async def get_flow_history(core: Core, query: FlowHistoryQuery) -> Answer[FlowHistoryAnswer]:
    """A flow metric of a coin over time, minute by minute.

    For now use get_flow_summary. Known since recording began (BTC, ETH, SOL); unit tells what v is.
    """
    since, until = span_of(core, query)
    whole = Gathered()
    points: list[Point] = []
    try:
        points = await core.archive.read(flow_key(query.metric, query.coin), since, until)
    except MmflowError as error:
        whole.notes.append(core.archive.unread(error))
        whole.partial = True
    if not points and not whole.partial and query.coin not in FLOW_COINS:
        fits = ", ".join(FLOW_COINS)
        raise BadQuestion("coin", f"no flows of {query.coin} are recorded.", fits=fits)
    now = core.clock.now_ms()
    rows = [_flow_point(point) for point in points if point.v is not None]
    data = FlowHistoryAnswer(
        coin=query.coin,
        metric=query.metric,
        unit=FLOW_METRICS[query.metric],
        interval=query.interval,
        points=Table(FlowPoint, rows, lambda row: float(row.t)),
        retention=retention_of(core).removeprefix("~"),
        enabled=core.archive.store is not None,
        fetched_at=now,
    )
    meta = history_meta(core, whole, now, "flows")
    if not rows and core.archive.store is not None and not whole.partial:
        meta["history"] = _NOTHING_YET
    late = rows and query.sinceMs and rows[0].t - since > LATE_MS
    told = [only_since(rows[0].t) if late else "", _weak(rows)]
    if any(told):
        meta["history"] = "; ".join(one for one in told if one)
    meta["source"] = meta["source"].replace("mmflow:history:flows", "flows:history")
    return Answer(data, meta)


def _weak(rows: Sequence[FlowPoint]) -> str:
    """How many minutes were less than whole: points in few, and a tool's, no longer tell it."""
    counts = {
        "had a stale part": sum(row.stale for row in rows),
        "lacked a source": sum(row.partial for row in rows),
    }
    said = [f"{count} {what}" for what, count in counts.items() if count]
    return f"of {len(rows)} minutes {', '.join(said)}" if said else ""


def _flow_point(point: Point) -> FlowPoint:
    was = point.extra or {}
    return FlowPoint(
        t=point.t,
        v=float(point.v or 0.0),
        partial=bool(was.get("partial")),
        stale=bool(was.get("stale")),
        source=str(was.get("source", "flows:summary")),
        sources=tuple(was.get("sources", ())),
        coverage=dict(was.get("coverage", {})),
    )
