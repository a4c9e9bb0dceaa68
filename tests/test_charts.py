"""Charts as resources of the server: who has one, what is served, and what it costs a model."""

import json
import re

import pytest
from mcp.client import advertise
from test_surfaces_mcp import ERAS, connect
from worlds import world

from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.surfaces.charts import CHARTED, CHARTS, page, uri_of
from mmflow_mcp.surfaces.mcp import tool_definitions

pytestmark = pytest.mark.anyio

MIME = "text/html;profile=mcp-app"


@ERAS
async def test_tools_with_a_chart_name_its_page(era: dict[str, str]) -> None:
    """Exactly those; every page is listed, is read as an MCP App, and asks for no domain."""
    async with world() as app, connect(app, era) as client:
        tools = (await client.list_tools()).tools
        listed = {one.uri: one for one in (await client.list_resources()).resources}
        pages = {uri_of(name): await client.read_resource(uri_of(name)) for name in CHARTS}
    named = {tool.name: tool.meta for tool in tools if tool.meta is not None}
    assert {
        tool: {"ui": {"resourceUri": uri_of(name)}}
        for name, chart in CHARTS.items()
        for tool in chart.tools
    } == named
    assert set(CHARTED) == set(named) <= set(endpoints())
    domains = ("connectDomains", "resourceDomains", "frameDomains", "baseUriDomains")
    for name, chart in CHARTS.items():
        one = listed[uri_of(name)]
        assert (MIME, chart.title) == (one.mime_type, one.title)
        assert {
            "ui": {"csp": {domain: [] for domain in domains}, "prefersBorder": True}
        } == one.meta
        (content,) = pages[one.uri].contents
        assert MIME == content.mime_type
        assert page(name) == getattr(content, "text", "")


async def test_hosts_of_apps_are_told_and_older_clients_get_the_same_answer() -> None:
    """The extension is advertised; an answer is the same with and without it, text included."""
    apps = advertise("io.modelcontextprotocol/ui", {"mimeTypes": [MIME]})
    question = {"coins": ["BTC"], "venues": ["binance"]}
    async with world() as app:
        async with connect(app, {}, extensions=[apps]) as client:
            told = client.server_capabilities.extensions or {}
            rich = await client.call_tool("get_funding", question)
        async with connect(app, {"mode": "legacy"}) as client:
            plain = await client.call_tool("get_funding", question)
    assert "io.modelcontextprotocol/ui" in told
    assert rich.content == plain.content
    assert rich.structured_content == plain.structured_content
    (block,) = plain.content
    assert plain.structured_content == json.loads(getattr(block, "text", ""))


async def test_only_pages_of_offered_tools_are_listed() -> None:
    """A server narrowed to some tools lists no chart of others."""
    async with world(tools="options") as app, connect(app, {}) as client:
        uris = {str(one.uri) for one in (await client.list_resources()).resources}
    assert {uri_of("gex"), uri_of("skew")} == {uri for uri in uris if uri.startswith("ui:")}


def test_a_chart_costs_a_model_nothing() -> None:
    """What is counted of a tool (name, description, schema) knows nothing of charts."""
    for form in ("columns", "objects"):
        text = json.dumps(tool_definitions(form))
        assert "ui://" not in text
        assert "chart" not in text.lower()


@pytest.mark.parametrize("name", CHARTS)
def test_a_page_is_whole(name: str) -> None:
    """One small file without a name of another place, and without ways to make markup of text."""
    html = page(name)
    assert html.startswith("<!doctype html>")
    assert len(html.encode()) < 23_000
    assert {"http://www.w3.org/2000/svg"} == set(re.findall(r"\w+://[^\"' ]*", html))
    assert 1 == html.count("<script>") == html.count("</script>")
    ways = ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "import(")
    assert [] == [way for way in (*ways, "fetch(", "XMLHttp", "@TITLE", "@S") if way in html]
    assert f"<title>{CHARTS[name].title}</title>" in html


async def test_no_page_is_read_before_a_host_asks_for_it() -> None:
    """Start-up and lists know addresses and titles only."""
    page.cache_clear()
    async with world() as app, connect(app, {}) as client:
        await client.list_tools()
        await client.list_resources()
        assert 0 == page.cache_info().currsize
        await client.read_resource(uri_of("gex"))
    assert 1 == page.cache_info().currsize
