"""`/metrics`: what the parts count anyway, as Prometheus text, read when it is asked for.

https://prometheus.io/docs/instrumenting/exposition_formats/

Labels are of closed sets: endpoints, venues, outcomes. What a caller wrote is never among them.
Each application has a registry of its own. Looking starts nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from mmflow_mcp import __version__
from mmflow_mcp.app import App
from mmflow_mcp.core.core import Core
from mmflow_mcp.surfaces.fleets import fleet_facts
from mmflow_mcp.surfaces.guarding import Guard
from mmflow_mcp.surfaces.sse import Stream
from mmflow_mcp.surfaces.stopping import EndStreams
from mmflow_mcp.tally import BOUNDS, Tally

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

_STATES = ("ok", "slow", "blocked", "changed", "failing")


class Metrics:
    """The page. The library is loaded at the first look.

    `guard` and `others` count too; they stand around the page and are known later.
    """

    def __init__(self, app: App, live: Mapping[str, Stream]) -> None:
        self._app = app
        self._live = live
        self._registry: CollectorRegistry | None = None
        self.guard: Guard | None = None
        self.others: EndStreams | None = None

    async def page(self, _: Request) -> Response:
        """Answer GET and HEAD."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415 - lazy

        if self._registry is None:
            self._registry = self._registered()
        headers = {"cache-control": "no-store"}
        return Response(generate_latest(self._registry), 200, headers, CONTENT_TYPE_LATEST)

    def _registered(self) -> "CollectorRegistry":
        from prometheus_client import (  # noqa: PLC0415 - at the first look
            CollectorRegistry,
            PlatformCollector,
            ProcessCollector,
        )

        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        ours: Collector = _Collector(self)
        registry.register(ours)
        return registry

    def series(self) -> "Iterator[Metric]":
        """Everything, as it is now."""
        app, core = self._app, self._app.built
        yield _gauge("mmflow_info", "Version and source", [((__version__, app.kind), 1)], _INFO)
        yield from _questions(app.asked)
        refused = {} if self.guard is None else self.guard.refused
        yield _counter("mmflow_refused", "Requests turned away", _one(refused), ("why",))
        streams = self._live.values()
        is_open: dict[str, float] = {one.endpoint: one.listeners for one in streams}
        is_open["mcp"] = 0 if self.others is None else self.others.open
        yield _gauge("mmflow_streams_open", "Streams being told", _one(is_open), ("endpoint",))
        lost = _one({one.endpoint: one.lost for one in streams})
        about = "Events that slow listeners lost"
        yield _counter("mmflow_stream_events_lost", about, lost, ("endpoint",))
        if core is not None:
            yield from _upstream(core)
            yield from _tape(core)
            yield from _kept(app, core)
            yield from _fleet(app)


def _fleet(app: App) -> "Iterator[Metric]":
    facts = fleet_facts(app)
    if facts is None:
        return
    together = float(facts["state"] == "together")
    yield _gauge("mmflow_fleet_together", "Whether the fleet is reached", [((), together)])
    asked = {"hit": facts["hits"], "miss": facts["asks"] - facts["hits"]}
    about = "What was looked for in the cache that the fleet shares"
    yield _counter("mmflow_fleet_askings", about, _one(asked), ("result",))
    feeds = [((one["venue"], one["channel"], one["role"]), 1.0) for one in facts["feeds"]]
    yield _gauge("mmflow_fleet_feed", "What this replica is to a feed", feeds, _FEED)


_FEED = ("venue", "channel", "role")


class _Collector:
    """What the library asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> "Iterator[Metric]":
        """All series."""
        return self._metrics.series()


_INFO = ("version", "source")
Rows = Iterable[tuple[tuple[Any, ...], float]]


def _one(values: Mapping[str, float]) -> Rows:
    """Rows with one label."""
    return [((name,), value) for name, value in sorted(values.items())]


def _counter(name: str, about: str, rows: Rows, labels: tuple[str, ...]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 - as above

    family = CounterMetricFamily(name, about, labels=labels)
    for values, count in rows:
        family.add_metric([str(value) for value in values], count)
    return family


def _gauge(name: str, about: str, rows: Rows, labels: tuple[str, ...] = ()) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - as above

    family = GaugeMetricFamily(name, about, labels=labels)
    for values, now in rows:
        family.add_metric([str(value) for value in values], now)
    return family


def _histogram(name: str, about: str, tally: Tally, labels: tuple[str, ...]) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415 - as above

    family = HistogramMetricFamily(name, about, labels=labels)
    bounds = [*map(str, BOUNDS), "+Inf"]
    for values, times in sorted(tally.times.items(), key=str):
        buckets = list(zip(bounds, accumulate(times.counts), strict=True))
        family.add_metric([str(value) for value in values], buckets, times.total)
    return family


def _questions(asked: Tally) -> "Iterator[Metric]":
    labels = ("face", "endpoint")
    rows = sorted(asked.counts.items())
    yield _counter("mmflow_questions", "Questions answered", rows, (*labels, "outcome"))
    about = "Seconds until a question was answered"
    yield _histogram("mmflow_question_seconds", about, asked, labels)
    running = _one({"rest": 0, "mcp": 0, **asked.running})
    yield _gauge("mmflow_questions_running", "Questions under way", running, ("face",))


def _upstream(core: Core) -> "Iterator[Metric]":
    traffic, cached = core.upstream.traffic, core.upstream.cached
    rows = sorted(traffic.counts.items())
    about = "Requests to venues, each attempt"
    yield _counter("mmflow_upstream_requests", about, rows, ("venue", "outcome"))
    about = "Seconds that requests to venues took"
    yield _histogram("mmflow_upstream_seconds", about, traffic, ("venue",))
    results = {name: getattr(cached, name) for name in ("hit", "joined", "miss", "stale")}
    about = "Askings of the wire cache: fresh, joined a flight, began one, an old copy stood in"
    yield _counter("mmflow_cache_askings", about, _one(results), ("result",))
    known = core.upstream.health.all()
    states = [((h.venue, state), float(h.state == state)) for h in known for state in _STATES]
    yield _gauge("mmflow_venue_state", "1 for the state it is in", states, ("venue", "state"))
    answered = {h.venue: h.last_ok / 1000 for h in known if h.last_ok is not None}
    about = "When a venue last answered, epoch seconds"
    yield _gauge("mmflow_venue_answered_timestamp_seconds", about, _one(answered), ("venue",))


def _tape(core: Core) -> "Iterator[Metric]":
    tapes = [core.tape.tape(venue) for venue in core.tape.able()]
    for name, about, values in (
        ("prints", "Prints taken in", {t.venue: t.serial for t in tapes}),
        ("repeated", "Prints that came again", {t.venue: t.duplicates for t in tapes}),
        ("unread", "Rows that could not be read", {t.venue: t.unread for t in tapes}),
        ("gaps", "Times in which prints are missing", {t.venue: t.gaps.total for t in tapes}),
    ):
        yield _counter(f"mmflow_tape_{name}", about, _one(values), ("venue",))
    feeds = {(feed.rule.venue, feed.rule.channel): feed for feed in core.tape.feeds()}
    labels = ("venue", "channel")
    rows: Rows = [(key, feed.state.connections) for key, feed in sorted(feeds.items())]
    yield _counter("mmflow_feed_connections", "Connections made by a feed", rows, labels)
    rows = [(key, feed.state.connected) for key, feed in sorted(feeds.items())]
    yield _gauge("mmflow_feed_connected", "Whether a feed is connected", rows, labels)
    rows = [(key, feed.silent) for key, feed in sorted(feeds.items())]
    yield _gauge("mmflow_feed_silent_seconds", "Seconds since a frame", rows, labels)


def _kept(app: App, core: Core) -> "Iterator[Metric]":
    store = core.archive.store
    if store is not None:
        about = "Writes to the history store that failed"
        failed = getattr(store, "failed", 0)
        yield _counter("mmflow_store_writes_failed", about, [((), failed)], ())
        away = [((), float(bool(getattr(store, "away", ""))))]
        yield _gauge("mmflow_store_away", "Whether samples wait in memory", away)
    if app.recorder is None:
        return
    health = app.recorder.health
    leads = [((), float(health.leading))]
    yield _gauge("mmflow_recorder_leading", "Whether this process records", leads)
    counts = _one({"stored": health.stored, "refused": health.refused})
    yield _counter("mmflow_recorder_samples", "Samples written", counts, ("result",))
    last = _one({name: at / 1000 for name, at in health.last.items()})
    about = "The cell last written, epoch seconds"
    yield _gauge("mmflow_recorder_last_sample_timestamp_seconds", about, last, ("sampling",))
    failing = _one({one.name: one.name in health.failures for one in app.recorder.samplings})
    yield _gauge("mmflow_recorder_failing", "Whether a sampling fails", failing, ("sampling",))
