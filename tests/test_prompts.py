"""Prompts through the SDK's real client in both eras: listed, filled in, refused with what fits."""

import json
import re
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference
from worlds import world

from mmflow_mcp.errors import StoreAway
from mmflow_mcp.metrics.flows import FLOW_METRICS
from mmflow_mcp.surfaces import prompts, questions
from mmflow_mcp.surfaces.icon import BARS, UNITS, data_uri, png, svg
from mmflow_mcp.surfaces.mcp import build_server, tool_definitions
from mmflow_mcp.surfaces.schema import FORMS

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("era", ["auto", "legacy"], ids=["2026", "2025"])
CALL = re.compile(r"^\d+\. (\w+) (\{.*\})$", re.MULTILINE)
NAMES = [
    "funding_arbitrage_scan", "options_positioning_brief", "flow_brief", "squeeze_check",
    "venue_health", "weekly_recap",
]  # fmt: skip


async def text_of(client: Client, name: str, **arguments: str) -> str:
    """A prompt's one message."""
    got = await client.get_prompt(name, arguments)
    (message,) = got.messages
    assert ("user", True) == (message.role, bool(got.description))
    return str(getattr(message.content, "text", ""))


@ERAS
async def test_prompts_are_listed_with_all_that_a_person_sees(era: str) -> None:
    """Title, description, icon, and arguments with words; each can be filled in."""
    async with world() as app, Client(build_server(app), mode=era, cache=None) as client:
        listed = (await client.list_prompts()).prompts
        assert NAMES == [one.name for one in listed]
        for one in listed:
            recipe = prompts.find(one.name)
            assert (one.title, one.description) == (recipe.title, recipe.description)
            assert one.icons
            assert [data_uri()] == [icon.src for icon in one.icons]
            assert recipe.arguments
            for told, arg in zip(one.arguments or [], recipe.arguments, strict=True):
                assert (told.name, told.title, told.description, told.required) == (
                    arg.name, arg.title, arg.description, arg.required,
                )  # fmt: skip
            text = await text_of(client, one.name, **{a.name: a.example for a in recipe.arguments})
            assert text == recipe.text(
                prompts.understood(recipe, {a.name: a.example for a in recipe.arguments})
            )


@pytest.mark.parametrize("name", NAMES)
async def test_every_call_of_a_recipe_is_a_right_one(name: str) -> None:
    """Its arguments are understood, its tool is named in `tools`, and the text fits a context."""
    recipe = prompts.find(name)
    _, text = prompts.rendered(name, {a.name: a.example for a in recipe.arguments})
    calls = CALL.findall(text)
    for tool, arguments in calls:
        questions.understand(tool, json.loads(arguments))
    assert recipe.tools == {tool for tool, _ in calls}
    for heading in ("Compare:", "Conclude:", "Do not conclude:", "Always:", "Answer:"):
        assert heading in text
    assert "recommend no trade" in text
    assert "{" not in CALL.sub("", text)
    assert len(text) < 3_600


async def test_values_reach_the_calls_as_tools_read_them() -> None:
    """Forgiving names, lists, a call for each coin up to five, no ETF where there is none."""
    _, scan = prompts.rendered("funding_arbitrage_scan", {"coins": "btc, SOL-USDT", "venues": "hl"})
    assert 'get_funding {"coins":["BTC","SOL"],"venues":["hyperliquid"],"limit":1000}' in scan
    assert ["BTC", "SOL"] == re.findall(r'get_funding_history {"coin":"(\w+)"', scan)
    assert "4 x 5 bps" in scan
    many = ",".join(f"C{i}" for i in range(9))
    _, scan = prompts.rendered("funding_arbitrage_scan", {"coins": many})
    assert 5 == scan.count("get_funding_history")
    assert "For the first 5 only." in scan
    _, week = prompts.rendered("weekly_recap", {"coin": "SOL"})
    assert "get_etf_flows" not in week
    _, week = prompts.rendered("weekly_recap", {"coin": "eth"})
    assert 'get_etf_flows {"asset":"ethereum","limit":5}' in week
    _, flows = prompts.rendered("flow_brief", {"coins": "", "metric": "KIMCHIpremiumbps"})
    assert '"coins":["BTC","ETH","SOL"]' in flows
    assert '"metric":"kimchiPremiumBps"' in flows


WRONG: list[tuple[str, dict[str, str], list[str]]] = [
    ("squeeze_chek", {"coin": "BTC"}, ["Nearest: squeeze_check", "weekly_recap"]),
    ("nothing", {}, ["Fits: funding_arbitrage_scan"]),
    ("squeeze_check", {}, ["coin: is required", 'Example: squeeze_check {"coin":"BTC"}']),
    ("squeeze_check", {"coin": " "}, ["coin: is required"]),
    ("squeeze_check", {"coins": "BTC"}, ["coins: unknown argument", "Nearest: coin"]),
    ("squeeze_check", {"coin": "\x00"}, ["no coin"]),
    ("options_positioning_brief", {"underlying": "DOGE"}, ["DOGE", "BTC, ETH, SOL, XRP"]),
    ("funding_arbitrage_scan", {"venues": "binanse"}, ["Nearest: binance"]),
    ("funding_arbitrage_scan", {"feeBps": "cheap"}, ["feeBps", "0 to 1000"]),
    ("funding_arbitrage_scan", {"feeBps": "-1"}, ["feeBps", "0 to 1000"]),
    ("flow_brief", {"metric": "score"}, ["metric", "flowPressureScore"]),
    ("venue_health", {"venues": "binance,,okx"}, ["venues", "empty"]),
]


@ERAS
async def test_a_wrong_prompt_is_taught(era: str) -> None:
    """A protocol error -32602 (invalid params) whose words name the argument and what fits."""
    async with world() as app, Client(build_server(app), mode=era, cache=None) as client:
        for name, arguments, words in WRONG:
            with pytest.raises(MCPError) as error:
                await client.get_prompt(name, arguments)
            assert -32602 == error.value.error.code
            for word in words:
                assert word in str(error.value), (name, arguments, str(error.value))


@ERAS
async def test_arguments_complete(era: str) -> None:
    """Coins, venues, underlyings, metrics; in a list the last one; nothing for what is unknown."""

    async def told(reference: Any, name: str, value: str) -> list[str]:
        found = (await client.complete(reference, {"name": name, "value": value})).completion
        assert len(found.values) == found.total
        return list(found.values)

    def prompt(name: str) -> PromptReference:
        return PromptReference(type="ref/prompt", name=name)

    flows = ResourceTemplateReference(
        type="ref/resource", uri="mmflow://history/flows/{coin}/{metric}"
    )
    scan = prompt("funding_arbitrage_scan")
    async with world() as app, Client(build_server(app), mode=era, cache=None) as client:
        assert ["BTC", "BNB"] == await told(scan, "coins", "b")
        assert ["BTC,ETH"] == await told(scan, "coins", "BTC,e")
        assert "BTC,BTC" not in await told(scan, "coins", "BTC,")
        assert ["okx,binance", "okx,bitfinex", "okx,bithumb", "okx,bitmex"] == await told(
            scan, "venues", "okx,bi"
        )
        assert "all" == (await told(scan, "venues", ""))[0]
        brief = prompt("options_positioning_brief")
        assert ["BTC", "ETH", "SOL", "XRP"] == await told(brief, "underlying", "")
        assert list(FLOW_METRICS) == await told(prompt("flow_brief"), "metric", "")
        assert ["kimchiPremiumBps"] == await told(flows, "metric", "KIM")
        assert "BTC" == (await told(flows, "coin", ""))[0]
        assert [] == await told(flows, "venue", "")
        assert [] == await told(prompt("none"), "coin", "")
        assert [] == await told(prompt("squeeze_check"), "venues", "")


async def test_a_store_that_is_away_costs_only_the_longer_list() -> None:
    """Coins complete from the common ones."""

    class Away:
        async def series(self) -> list[object]:
            raise StoreAway("redis is away")

    reference = PromptReference(type="ref/prompt", name="squeeze_check")
    async with world() as app, Client(build_server(app), cache=None) as client:
        app.core().archive.store = Away()  # type: ignore[assignment]
        found = await client.complete(reference, {"name": "coin", "value": "do"})
        app.core().archive.store = None
    assert ["DOGE", "DOT"] == found.completion.values


async def test_only_recipes_whose_tools_are_offered_are_listed() -> None:
    """A server narrowed to options lists the one that options can follow."""
    async with world(tools="options") as app, Client(build_server(app)) as client:
        listed = (await client.list_prompts()).prompts
    assert ["options_positioning_brief"] == [one.name for one in listed]


def test_the_manifest_carries_every_prompt() -> None:
    """With text for hosts that fill it in themselves; each argument has its place in it."""
    for name in NAMES:
        recipe = prompts.find(name)
        text = recipe.blank()
        for arg in recipe.arguments:
            assert f"${{arguments.{arg.name}}}" in text
        assert recipe.tools == {tool for tool, _ in CALL.findall(text)}


@ERAS
@pytest.mark.parametrize("form", FORMS)
async def test_what_a_model_sees_of_tools_is_the_snapshot(era: str, form: str) -> None:
    """tools.json holds name, title, description and both schemas as either era lists them."""
    async with world(tool_rows=form) as app, Client(build_server(app), mode=era) as client:
        listed = (await client.list_tools()).tools
    told = [
        (one.name, one.title, one.description, one.input_schema, one.output_schema)
        for one in listed
    ]
    keys = ("name", "title", "description", "inputSchema", "outputSchema")
    assert [tuple(one[key] for key in keys) for one in tool_definitions(form)] == told


@ERAS
async def test_everything_has_a_title_and_the_lists_may_be_kept(era: str) -> None:
    """Titles and icons on what is listed; 2026 clients are told for how long a list holds."""
    async with world() as app, Client(build_server(app), mode=era, cache=None) as client:
        lists: list[Any] = [
            await client.list_tools(),
            await client.list_prompts(),
            await client.list_resources(),
            await client.list_resource_templates(),
        ]
        read = await client.read_resource("mmflow://venues")
        info = client.server_info
    assert info is not None
    assert info.icons
    assert (data_uri(), "image/svg+xml") == (info.icons[0].src, info.icons[0].mime_type)
    for page in lists:
        (items,) = (v for v in dict(page).values() if isinstance(v, list) and v)
        assert all(item.title and item.description for item in items)
        # One page: 27 tools, six prompts, ten resources.
        assert page.next_cursor is None
        if era == "auto":
            assert (3_600_000, "public") == (page.ttl_ms, page.cache_scope)
    if era == "auto":
        assert (1_000, "public") == (read.ttl_ms, read.cache_scope)


@ERAS
@pytest.mark.parametrize(
    ("tool", "arguments", "least"),
    [
        ("get_funding_history", {"coin": "BTC", "sinceMs": "-24h"}, 9),
        ("get_funding_regime", {"coins": ["BTC"], "venues": ["hl", "okx"]}, 4),
        ("get_flow_summary", {"coins": ["BTC"]}, 5),
    ],
)
async def test_progress_never_steps_back(
    era: str, tool: str, arguments: dict[str, Any], least: int
) -> None:
    """Several fan-outs behind one question add up; back-fill in the background tells nothing."""
    seen: list[tuple[float, float | None]] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        assert "is done" in (message or "")
        seen.append((progress, total))

    async with world() as app, Client(build_server(app), mode=era, cache=None) as client:
        await client.call_tool(tool, arguments, progress_callback=heard)
    done = [progress for progress, _ in seen]
    assert [float(i + 1) for i in range(len(done))] == done
    assert len(done) >= least
    assert all(total is not None and progress <= total for progress, total in seen)
    assert seen[-1][0] == seen[-1][1]


class TestIcon:
    """One drawing, two files."""

    def test_the_files_are_drawn_from_it(self) -> None:
        """icon.svg is its text; icon.png is 512 pixels wide, transparent at the corners."""
        from importlib.resources import files

        folder = files("mmflow_mcp.surfaces")
        assert svg() == folder.joinpath("icon.svg").read_text("utf-8")
        head = folder.joinpath("icon.png").read_bytes()[:24]
        assert b"\x89PNG\r\n\x1a\n" == head[:8]
        assert (512, 512) == (int.from_bytes(head[16:20]), int.from_bytes(head[20:24]))

    def test_the_colours_are_the_bars(self) -> None:
        """In the middle of each bar its colour; in the corner nothing. At 64 pixels, one a unit."""
        import zlib

        image = png(UNITS)
        at = image.index(b"IDAT") + 4
        size = int.from_bytes(image[at - 8 : at - 4])
        data = zlib.decompress(image[at : at + size])
        width = UNITS * 4 + 1

        def pixel(x: float, y: float) -> str:
            start = int(y) * width + 1 + int(x) * 4
            return data[start : start + 4].hex()

        assert "00000000" == pixel(0, 0)
        for bar in BARS[1:]:
            middle = pixel(bar.x + bar.width / 2, bar.y + bar.height / 2)
            assert bar.colour.removeprefix("#") + "ff" == middle
