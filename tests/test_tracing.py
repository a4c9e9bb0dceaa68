"""Spans of questions, REST and MCP, with their requests below them; none without an exporter."""

import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, Tracer
from rests import client_of
from test_surfaces_processes import ENVIRONMENT
from worlds import NOW, ask

from mmflow_mcp.app import App, running
from mmflow_mcp.settings import Settings, from_environment
from mmflow_mcp.surfaces import tracing
from mmflow_mcp.surfaces.mcp import build_server

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
FUNDING = "/api/v1/perps/funding"


class Spans:
    """What has been traced."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer: Tracer = provider.get_tracer("mmflow_mcp")

    def all(self) -> list[ReadableSpan]:
        """Every span that has ended, as they began."""
        return sorted(self._kept.get_finished_spans(), key=lambda span: span.start_time or 0)

    def below(self, one: ReadableSpan) -> list[ReadableSpan]:
        """Its children."""
        return [span for span in self.all() if span.parent and span.parent.span_id == number(one)]


def number(span: ReadableSpan) -> int:
    """Its id."""
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def trace(span: ReadableSpan) -> str:
    """The id of its trace."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}"


def told(span: ReadableSpan, *names: str) -> list[Any]:
    """Some of its attributes."""
    return [(span.attributes or {}).get(name) for name in names]


@asynccontextmanager
async def traced_world(*faults: str) -> AsyncIterator[tuple[App, Spans]]:
    """A simulated world whose questions are traced."""
    spans = Spans()
    given = {"source": "sim", "now": str(NOW), "faults": ";".join(faults), "anon_per_minute": 0}
    async with running(from_environment({}, **given), tracer=spans.tracer) as app:
        yield app, spans


async def test_a_rest_question_and_its_requests() -> None:
    """Endpoint, outcome, venues asked; below it each request with venue, call, host and status."""
    async with traced_world("okx:http=500") as (app, spans), client_of(app) as client:
        path = f"{FUNDING}?coins=BTC&venues=bybit,okx&secret="
        answer = await client.get(path, headers={"traceparent": PARENT})
        assert 200 == answer.status_code
        (question,) = [span for span in spans.all() if span.name == f"GET {FUNDING}"]
        asked = spans.below(question)
    assert (TRACE, "b7ad6b7169203331") == (
        trace(question),
        f"{question.parent.span_id:016x}" if question.parent else "",
    )
    names = ("mmflow.endpoint", "mmflow.outcome", "mmflow.venues_asked", "http.route")
    assert ["get_funding", "partial", 2, FUNDING] == told(question, *names)
    assert [200] == told(question, "http.response.status_code")
    good = [span for span in asked if told(span, "mmflow.venue") == ["bybit"]]
    call = ("mmflow.call", "server.address", "http.request.method", "http.response.status_code")
    assert ["tickers", "api.bybit.com", "GET", 200] in [told(span, *call) for span in good]
    bad = [span for span in asked if told(span, "mmflow.venue") == ["okx"]]
    how = {tuple(told(span, "error.type", "http.response.status_code")) for span in bad}
    # What is asked beside the request that fails is given up with it.
    assert {("http", 500)} == how - {("given up", None)}
    assert {StatusCode.ERROR} == {
        span.status.status_code for span in bad if told(span, "error.type") == ["http"]
    }
    again = {told(span, "http.request.resend_count")[0] for span in bad}
    assert {None, 1, 2} == again
    for span in spans.all():
        assert "?" not in span.to_json()
        assert "secret" not in span.to_json()


async def test_answers_from_memory_and_failures_are_spans_too() -> None:
    """Nothing is asked for the first; a failed one is an error, a mistake is not."""
    async with traced_world("okx:http=451") as (app, spans), client_of(app) as client:
        for query in ("venues=bybit", "venues=bybit", "venues=okx", "venues=nosuch"):
            await client.get(f"{FUNDING}?coins=BTC&{query}", headers={"traceparent": "nonsense"})
        questions = [span for span in spans.all() if span.name == f"GET {FUNDING}"]
        first, remembered, failed, mistake = questions
        assert (True, []) == (bool(spans.below(first)), spans.below(remembered))
    outcomes = [told(span, "mmflow.outcome", "mmflow.venues_asked") for span in questions]
    assert [["ok", 1], ["ok", 0], ["error", 1], ["mistake", 0]] == outcomes
    assert [StatusCode.ERROR, StatusCode.UNSET] == [s.status.status_code for s in (failed, mistake)]
    assert [None] * 4 == [span.parent for span in questions]


@pytest.mark.parametrize("era", [{}, {"mode": "legacy"}], ids=["2026", "2025"])
async def test_a_tool_call_and_its_requests(
    era: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The span is the SDK's; it is told the same, and the requests are its children."""
    async with traced_world() as (app, spans):
        monkeypatch.setattr("mcp.shared._otel._tracer", spans.tracer)
        async with Client(build_server(app), **era) as client:
            question = {"coins": ["BTC"], "venues": ["bybit", "okx"]}
            assert not (await client.call_tool("get_funding", question)).is_error
        calls = [span for span in spans.all() if span.name == "tools/call get_funding"]
        # The client makes a span too: the server's is the one that was told.
        (call,) = [span for span in calls if told(span, "mmflow.endpoint") != [None]]
        asked = spans.below(call)
    assert ["ok", 2] == told(call, "mmflow.outcome", "mmflow.venues_asked")
    assert {"bybit", "okx"} == {told(span, "mmflow.venue")[0] for span in asked}


async def test_what_outlives_its_question_is_no_child_of_it() -> None:
    """The recorder and others begin in a question; their spans would hang on it for ever."""
    async with traced_world() as (app, spans):
        with spans.tracer.start_as_current_span("question"):
            ended = anyio.Event()

            async def later() -> None:
                await ended.wait()
                await ask(app, "get_funding", coins=["BTC"], venues="bybit")

            app.soon(later)
            await anyio.lowlevel.checkpoint()
        ended.set()
        with anyio.fail_after(20):
            while len(spans.all()) < 2:  # noqa: ASYNC110 - spans tell nobody of their end
                await anyio.sleep(0.02)
        question, *others = spans.all()
    assert {None} == {span.parent for span in others}
    assert trace(question) != trace(others[0])


@contextmanager
def collecting() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A collector on loopback: its address, and what it was sent."""
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_server_sends_its_spans() -> None:
    """To the collector that the standard's variable names, under our name, while it runs."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the exporter is an extra")
    words = (b"mmflow-mcp", b"tools/call get_funding", b"api.bybit.com", b"mmflow.outcome")
    with collecting() as (url, got):
        child = StdioServerParameters(
            command=sys.executable, args=["-m", "mmflow_mcp", "--source", "sim"]
        )
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        child.env = {**ENVIRONMENT, **named}
        async with Client(child) as client:
            question = {"coins": ["BTC"], "venues": ["bybit"]}
            assert not (await client.call_tool("get_funding", question)).is_error
            with anyio.fail_after(30):
                while len([w for w in words if any(w in b for _, b in got)]) < 4:  # noqa: ASYNC110
                    await anyio.sleep(0.02)
    assert {"/v1/traces"} == {path for path, _ in got}


def test_without_an_exporter_nothing_is_loaded() -> None:
    """Neither the SDK nor our own side of it; and with one, but without the extra, one line."""
    code = (
        "import sys\n"
        "from mmflow_mcp.settings import from_environment\n"
        "from mmflow_mcp.surfaces import http\n"
        "with http.tracing(from_environment({})) as tracer:\n"
        "    assert tracer is None\n"
        "named = ('opentelemetry.sdk', 'mmflow_mcp.surfaces.tracing', 'prometheus_client',\n"
        "         'mmflow_mcp.upstream.spans')\n"
        "loaded = [name for name in named if name in sys.modules]\n"
        "for name in ('opentelemetry.sdk', 'opentelemetry.exporter'):\n"
        "    sys.modules[name] = None\n"
        "where = {'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://127.0.0.1:1'}\n"
        "with http.tracing(from_environment(where)) as tracer:\n"
        "    assert tracer is None\n"
        "import json; print(json.dumps(loaded))\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=ENVIRONMENT,
    )
    assert [] == json.loads(child.stdout)
    (line,) = child.stderr.splitlines()
    assert "mmflow-mcp: spans are not sent: OpenTelemetry is not installed. Fits: pip" in line


def test_where_spans_go() -> None:
    """Our variable, else the standard's two; what is no URL among those is not taken."""
    for env, expected in (
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/x/"}, "http://c:4318/x/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:1/a"}, "http://t:1/a"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, ""),
        ({"MMFLOW_TRACES": "http://m:1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, "http://m:1"),
    ):
        assert expected == from_environment(env).traces
    with pytest.raises(Exception, match="MMFLOW_TRACES"):
        Settings(traces="collector")


def test_the_service_is_named_unless_it_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SERVICE_NAME wins."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the exporter is an extra")
    settings = Settings(traces="http://127.0.0.1:1")
    for given, expected in (("", "mmflow-mcp"), ("desk", "desk")):
        monkeypatch.setenv("OTEL_SERVICE_NAME", given)
        provider = tracing._provider(settings)
        assert provider is not None
        assert expected == provider.resource.attributes["service.name"]
        assert "0.1.0" == provider.resource.attributes["service.version"]
        provider.shutdown()
