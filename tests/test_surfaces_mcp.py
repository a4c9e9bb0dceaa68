"""The MCP face, through the SDK's real client, in both protocol eras."""

import json
import re
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.shared.subscriptions import ResourceUpdated
from worlds import MARKET, NOW, counted, skip_waiting, world

from mmflow_mcp.app import STATUS_URI, App
from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.surfaces.mcp import INSTRUCTIONS, build_server, tool_definitions
from mmflow_mcp.surfaces.questions import named_short

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("era", [{}, {"mode": "legacy"}], ids=["2026", "2025"])
TOOLS = sorted(endpoints())


def connect(app: App, era: dict[str, str], **more: Any) -> Client:
    """A client of the app's server."""
    return Client(build_server(app), cache=None, **era, **more)  # type: ignore[arg-type]


async def failure(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    """The text of an answer that must be an error."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result
    (block,) = result.content
    return str(getattr(block, "text", ""))


@ERAS
async def test_every_endpoint_is_a_tool(era: dict[str, str]) -> None:
    """The tools are the declarations, each with title, hints and two schemas of objects."""
    async with world() as app, connect(app, era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(endpoints()) == set(tools)
    for tool in tools.values():
        assert tool.title
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True
        assert tool.annotations.open_world_hint is True
        assert "object" == tool.input_schema["type"]
        assert tool.output_schema is not None
        assert "object" == tool.output_schema["type"]


@ERAS
@pytest.mark.parametrize("tool", TOOLS)
async def test_the_example_of_every_tool_is_answered(era: dict[str, str], tool: str) -> None:
    """Text and structured content are the same object, marked as simulated, within the budget."""
    skip_waiting(tool)
    async with world() as app, connect(app, era) as client:
        result = await client.call_tool(tool, endpoints()[tool].example)
    assert not result.is_error
    (block,) = result.content
    text = getattr(block, "text", "")
    assert json.loads(text) == result.structured_content
    assert ": " not in re.sub(r'"[^"]*"', "", text)
    answer = result.structured_content
    assert answer is not None
    assert {"data", "meta"} == set(answer)
    assert answer["meta"]["source"].startswith(("sim:", "mmflow:catalogue"))
    # A tape that has just begun to listen says so.
    assert (tool == "get_whales") == answer["meta"]["partial"]
    assert "NaN" not in text
    assert "Infinity" not in text


async def test_columns_carry_the_facts_of_the_envelope() -> None:
    """The compact form of get_funding is the same numbers as the objects of the envelope."""
    async with world() as app, connect(app, {}) as client:
        brief = await client.call_tool("get_funding", {"coins": ["BTC"], "venues": "all"})
    async with world(tool_rows="objects") as app, connect(app, {}) as client:
        full = await client.call_tool(
            "get_funding", {"coins": "btc-usdt", "venues": ["all"], "detail": "full"}
        )
    assert brief.structured_content is not None
    assert full.structured_content is not None
    table = brief.structured_content["data"]
    assert ["coin", "venue", "rate", "periodHours", "apr"] == table["columns"]
    objects = full.structured_content["data"]
    assert [row["symbol"] for row in objects]
    assert table["rows"] == [[row[name] for name in table["columns"]] for row in objects]


async def test_truth_reaches_the_model() -> None:
    """What the model reads is what the simulated market holds."""
    async with world() as app, connect(app, {}) as client:
        result = await client.call_tool("get_funding", {"coins": ["PEPE"], "venues": ["binance"]})
    truth = MARKET.funding("binance", "PEPE", NOW)
    assert truth is not None
    assert result.structured_content is not None
    coin, venue, rate, hours, apr = result.structured_content["data"]["rows"][0]
    assert ("PEPE", "binance") == (coin, venue)
    assert pytest.approx(truth.funding_rate) == rate
    assert truth.listing.period_hours == hours
    assert round(rate * 8760 / hours * 100, 2) == apr


async def test_a_row_budget_says_what_it_left_out() -> None:
    """The rows that matter most are kept; meta tells how many there are and how to narrow."""
    async with world() as app, connect(app, {}) as client:
        few = await client.call_tool("get_oi", {"limit": 3})
        all_of_it = await client.call_tool("get_oi", {"limit": 1000})
    assert few.structured_content is not None
    assert all_of_it.structured_content is not None
    everything = all_of_it.structured_content["data"]["rows"]
    assert "truncated" not in all_of_it.structured_content["meta"]
    kept = few.structured_content["data"]["rows"]
    assert sorted((row[2] for row in everything), reverse=True)[:3] == sorted(
        (row[2] for row in kept), reverse=True
    )
    meta = few.structured_content["meta"]
    assert len(everything) == meta["total"]
    assert meta["truncated"] is True
    assert "largest by USD" in meta["narrow"]


async def test_many_calls_are_told_as_a_number_of_venues() -> None:
    """Up to four calls are named, more are counted; every one is named with detail full."""
    async with world() as app, connect(app, {}) as client:
        sources = []
        for more in ({"venues": "hl,okx"}, {"venues": "all"}, {"venues": "all", "detail": "full"}):
            found = await client.call_tool("get_funding", {"coins": "BTC", **more})
            assert found.structured_content is not None
            sources.append(found.structured_content["meta"]["source"])
    assert "sim:hyperliquid:metaAndAssetCtxs+okx:funding-rate" == sources[0]
    assert f"sim:{len(MARKET.venues())} venues" == sources[1]
    for venue in MARKET.venues():
        assert f"{venue}:" in sources[2]


def test_the_store_is_no_venue_in_that_number() -> None:
    """What lay in the store is named beside the venues, and counts as none of them."""
    calls = [f"{venue}:{call}" for venue in ("binance", "bybit", "okx") for call in ("a", "b")]
    source = "sim:" + "+".join([*calls, "mmflow:history"])
    assert "sim:3 venues+mmflow:history" == named_short(source)
    assert "3 venues+mmflow:history" == named_short(source.removeprefix("sim:"))


async def test_digits_are_as_long_as_their_meaning() -> None:
    """A million USD or more has no decimals in brief columns; detail full and objects have one."""
    async with world() as app, connect(app, {}) as client:
        brief = await client.call_tool("get_oi", {"coins": "BTC", "venues": "all"})
        full = await client.call_tool("get_oi", {"coins": "BTC", "venues": "all", "detail": "full"})
    assert brief.structured_content is not None
    assert full.structured_content is not None
    short = [row[2] for row in brief.structured_content["data"]["rows"]]
    whole = [row[2] for row in full.structured_content["data"]["rows"]]
    assert [round(usd) for usd in whole] == short
    assert any(usd != round(usd) for usd in whole)


async def test_ties_at_the_budget_do_not_exceed_it() -> None:
    """Many equal rates (Hyperliquid's resting value) still fill exactly the budget."""
    async with world() as app, connect(app, {}) as client:
        result = await client.call_tool("get_funding", {"limit": 7})
    assert result.structured_content is not None
    assert 7 == len(result.structured_content["data"]["rows"])


async def test_gamma_shows_forty_strikes_by_default() -> None:
    """CONTRACT section 10: gex shows 40 strikes by default, in order of strike."""
    async with world() as app, connect(app, {}) as client:
        result = await client.call_tool("get_gex", {"underlying": "BTC"})
    assert result.structured_content is not None
    strikes = [row[0] for row in result.structured_content["data"]["strikes"]["rows"]]
    assert 40 == len(strikes)
    assert sorted(strikes) == strikes


WRONG: list[tuple[str, dict[str, Any], list[str]]] = [
    ("get_funding", {"coins": ["NOSUCH"]}, ["NOSUCH", "Fits", "Example: get_funding"]),
    ("get_funding", {"coins": [""]}, ["coins", "empty"]),
    ("get_funding", {"coins": "BTC,,ETH"}, ["coins", "empty"]),
    ("get_funding", {"coins": 7}, ["coins", "list"]),
    ("get_funding", {"coins": [["BTC"]]}, ["coins", "list"]),
    ("get_funding", {"coins": {"a": 1}}, ["coins", "list"]),
    ("get_funding", {"coins": ["\u0000"]}, ["coins", "no coin"]),
    ("get_funding", {"coins": ["x" * 500]}, ["coins", "no coin"]),
    ("get_funding", {"coins": [f"C{i}" for i in range(1000)]}, ["1000", "100"]),
    ("get_funding", {"coins": ["БТЦ"]}, ["БТЦ", "none of the venues"]),
    ("get_funding", {"coins": ["BTC"], "venues": ["binanse"]}, ["binance", "Nearest"]),
    ("get_funding", {"coins": ["BTC"], "venues": [""]}, ["venues", "empty"]),
    ("get_funding", {"coins": ["BTC"], "venues": ["cme"]}, ["cme", "cannot answer"]),
    ("get_funding", {"coins": ["BTC"], "venues": ["bitmex"]}, ["closed", "2026-09-23"]),
    ("get_funding", {"coins": ["BTC"], "venues": ["all", "nasdaq"]}, ["nasdaq", "no venue"]),
    ("get_funding", {"limt": 5}, ["limt", "limit"]),
    ("get_funding", {"limit": 0}, ["limit", "1 to"]),
    ("get_funding", {"limit": "many"}, ["limit", "1 to"]),
    ("get_funding", {"limit": 1.5}, ["limit", "1 to"]),
    ("get_funding", {"detail": "everything"}, ["detail", "brief or full"]),
    ("get_funding", {"coins": '["BTC","ETH"'}, ["coins", "no coin", "Example"]),
    ("get_funding", {"symbols": ["BTC"]}, ["symbols: unknown", "Nearest: coins"]),
    ("get_funding", {"coins": "BTC", "exchange": "okx"}, ["exchange: unknown", "venues"]),
    ("get_funding", {"coins": ["bitcoin"]}, ["BITCOIN", "Nearest: BTC"]),
    ("get_funding", {"coins": ["BTC"], "venues": ["coinbase"]}, ["coinbase cannot", "bybit"]),
    ("get_funding", {"coins": ["all"]}, ["coins", "for all", "leave coins out"]),
    ("get_venue_spreads", {"quote": "eur"}, ["quote", "Fits: usd, or left out"]),
    ("get_oi_history", {"coins": ["BTC"]}, ["coins: unknown argument", "Nearest: coin."]),
    ("get_oi_history", {"coin": "BTC", "sinceMs": "7d"}, ["sinceMs", "Nearest: -7d"]),
    ("get_oi_history", {"coin": "BTC", "sinceMs": 1789453123}, ["not in milliseconds", "-24h"]),
    ("get_oi_history", {"coin": "BTC", "points": -1}, ["points", "0 to 1000"]),
    ("get_flow_history", {"coin": "BTC", "metric": "pressure"}, ["metric", "flowPressureScore"]),
    ("get_candles", {"coin": "BTC", "venue": "all"}, ["one a question", "okx"]),
    ("get_candles", {"coin": "BTC", "interval": "2h"}, ["interval", "1h, 4h, 1d"]),
    ("get_candles", {"coin": "BTC", "interval": "1m", "hours": 9999}, ["5,000", "longer"]),
    ("get_positioning", {"coins": "BTC", "period": "1d"}, ["period", "15m, 1h, 4h"]),
    ("get_kimchi", {"venue": "binance"}, ["venue", "upbit, bithumb"]),
    ("get_etf_flows", {"asset": "solana"}, ["asset", "bitcoin or ethereum"]),
    ("get_whales", {"minUsd": "1m"}, ["minUsd", "number from 0", "USD"]),
    ("watch_trades", {"coin": "BTC", "seconds": 300}, ["seconds", "0.2 to 55"]),
    ("watch_trades", {}, ["coin: is required", '"BTC"']),
    ("get_valuation", {"asset": "bitcoin"}, ["asset: unknown", "no argument at all"]),
    ("get_gex", {"coin": "BTC"}, ["coin: unknown argument", "Nearest: underlying"]),
    ("get_whales", {"coins": "BTC"}, ["Nearest: coin.", "Fits: minUsd, coin, sinceMs, limit."]),
    ("get_gex", {}, ["underlying", "required", "BTC"]),
    ("get_gex", {"underlying": "DOGE"}, ["DOGE", "BTC, ETH, SOL, XRP"]),
    ("get_gex", {"underlying": ["BTC"]}, ["underlying: ", "BTC, ETH, SOL, XRP"]),
    ("get_gex", {"underlying": ""}, ["underlying: ", "BTC, ETH, SOL, XRP"]),
    ("get_markets", {"exchange": "nowhere"}, ["nowhere", "Fits"]),
    ("get_markets", {"exchange": "cme"}, ["cme", "no markets"]),
    ("get_markets", {"exchange": "bitmex"}, ["closed", "okx, polymarket, upbit. Example"]),
    ("get_markets", {"page": -1}, ["page", "-1", "0 to"]),
    ("get_markets", {"pageSize": 501}, ["pageSize", "501", "1 to 500"]),
]


@ERAS
async def test_wrong_questions_are_taught(era: dict[str, str]) -> None:
    """Each mistake is an error result that names the argument and what would fit; no traceback."""
    async with world() as app, connect(app, era) as client:
        for tool, arguments, words in WRONG:
            text = await failure(client, tool, arguments)
            assert "Traceback" not in text
            assert "pydantic" not in text
            assert len(text) < 700, text
            assert f"Example: {tool} " in text
            for word in words:
                assert word in text, (tool, str(arguments)[:80], text)


async def test_forgiving_inputs_are_understood() -> None:
    """Aliases, cases, pairs, multiplied names and JSON text all mean the same question."""
    async with world() as app, connect(app, {}) as client:
        spellings: list[dict[str, Any]] = [
            {"coins": ["PEPE"], "venues": ["hyperliquid", "binance"]},
            {"coins": "pepe", "venues": "HL,BINANCE_FUTURES"},
            {"coins": ["1000PEPEUSDT"], "venues": ["Hyperliquid", "Binance"]},
            {"coins": ["kPEPE"], "venues": '["hl","binance"]'},
            {"coins": "PEPE-USDT", "venues": ["HYPERLIQUID", "binance-usdm"]},
            {"coins": ["PEPE/USDT:USDT"], "venues": ["hl", "BinPerp", "hl"]},
        ]
        answers = [(await client.call_tool("get_funding", q)).structured_content for q in spellings]
    first = answers[0]
    assert first is not None
    assert 2 == len(first["data"]["rows"])
    for other in answers[1:]:
        assert other is not None
        assert first["data"] == other["data"]


async def test_other_venues_are_advised_only_where_they_can_be_named() -> None:
    """Options have one source here: its failure is no reason to look for another."""
    async with world("deribit:http=503", "bybit:http=503") as app, connect(app, {}) as client:
        funding = await failure(client, "get_funding", {"coins": ["BTC"], "venues": ["bybit"]})
        gamma = await failure(client, "get_gex", {"underlying": "BTC"})
    assert funding.endswith("bybit: http 503. Try other venues, or again later.")
    assert gamma.endswith("http 503. Try again later.")


@ERAS
async def test_all_venues_down_is_an_error_result(era: dict[str, str]) -> None:
    """Every reason is in the text, because some hosts show the model nothing else."""
    async with world("*:http=503") as app, connect(app, era) as client:
        text = await failure(client, "get_funding", {"coins": ["BTC"], "venues": "all"})
    for venue in MARKET.venues():
        assert f"{venue}: http 503" in text


async def test_a_fault_of_our_own_shows_no_trace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unforeseen exception is logged on the server and told in one sentence."""
    from mmflow_mcp.venues.hyperliquid import Hyperliquid

    async def broken(self: object, ask: object) -> list[object]:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Hyperliquid, "funding", broken)
    async with world() as app, connect(app, {}) as client:
        text = await failure(client, "get_funding", {"coins": ["BTC"]})
    assert "secret" not in text
    assert "fault of its own" in text
    assert "secret detail" in caplog.text


@ERAS
async def test_resources_show_the_catalogue_and_the_health(era: dict[str, str]) -> None:
    """venues, one venue by any of its names, and status are readable JSON."""
    async with world("okx:http=503") as app, connect(app, era) as client:
        listed = {str(r.uri) for r in (await client.list_resources()).resources}
        templates = (await client.list_resource_templates()).resource_templates
        catalogue = await read(client, "mmflow://venues")
        await client.call_tool("get_funding", {"coins": ["BTC"], "venues": "all"})
        status = await read(client, "mmflow://status")
        one = await read(client, "mmflow://venues/OKX_SWAP")
        closed = await read(client, "mmflow://venues/bitmex")
    assert {"mmflow://venues", "mmflow://status"} <= listed
    assert {
        "mmflow://venues/{venue}",
        "mmflow://history/oi/{coin}",
        "mmflow://history/funding/{coin}",
        "mmflow://history/flows/{coin}/{metric}",
        "mmflow://streams/trades/{coin}",
    } == {t.uri_template for t in templates}
    ids = [venue["id"] for venue in catalogue["venues"]]
    assert sorted(ids) == ids
    assert set(MARKET.venues()) <= set(ids)
    health = {venue["venue"]: venue for venue in status["venues"]}
    assert "failing" == health["okx"]["state"]
    assert "http 503" in health["okx"]["reason"]
    assert "ok" == health["bybit"]["state"]
    assert "bitmex" not in health
    assert ("okx", "failing") == (one["id"], one["health"]["state"])
    assert "2026-09-23" == closed["closedOn"]


async def read(client: Client, uri: str) -> Any:
    """A resource as JSON."""
    (content,) = (await client.read_resource(uri)).contents
    assert "application/json" == content.mime_type
    return json.loads(getattr(content, "text", ""))


@ERAS
async def test_an_unknown_venue_resource_teaches(era: dict[str, str]) -> None:
    """A protocol error that names what would fit."""
    async with world() as app, connect(app, era) as client:
        with pytest.raises(MCPError) as error:
            await client.read_resource("mmflow://venues/nowhere")
    assert "Fits" in str(error.value)


@ERAS
async def test_the_venue_argument_completes(era: dict[str, str]) -> None:
    """A few letters give the ids that begin with them; anything else gives none."""
    from mcp.types import PromptReference, ResourceTemplateReference

    template = ResourceTemplateReference(type="ref/resource", uri="mmflow://venues/{venue}")
    async with world() as app, connect(app, era) as client:
        b = await client.complete(template, {"name": "venue", "value": "bi"})
        nothing = await client.complete(
            PromptReference(type="ref/prompt", name="none"), {"name": "x", "value": ""}
        )
    assert ["binance", "bitfinex", "bithumb", "bitmex"] == b.completion.values
    assert [] == nothing.completion.values


async def test_listen_streams_hear_of_a_venue_that_fails() -> None:
    """2026: a change of a venue's state is a notice of mmflow://status."""
    async with world("okx:http=503") as app, connect(app, {}) as client:
        with anyio.fail_after(5):
            async with client.listen(resource_subscriptions=[STATUS_URI]) as events:
                await client.call_tool("get_funding", {"coins": ["BTC"], "venues": "all"})
                async for event in events:
                    assert isinstance(event, ResourceUpdated)
                    assert STATUS_URI == str(event.uri)
                    break


@pytest.mark.filterwarnings("ignore:resources/.*subscribe is removed")
async def test_subscribers_of_2025_hear_of_it_too() -> None:
    """2025: the same notice through resources/subscribe, and none after unsubscribing."""
    heard: list[str] = []

    async def handler(message: Any) -> None:
        name = type(message).__name__
        if (
            "ResourceUpdated" in name
            or "ResourceUpdated" in type(getattr(message, "root", None)).__name__
        ):
            heard.append(name)

    async with world() as app, connect(app, {"mode": "legacy"}, message_handler=handler) as client:
        await client.session.subscribe_resource(STATUS_URI)
        app.bus.publish(STATUS_URI)
        await anyio.sleep(0.05)
        assert 1 == len(heard)
        await client.session.unsubscribe_resource(STATUS_URI)
        await anyio.sleep(1.0)
        app.bus.publish(STATUS_URI)
        await anyio.sleep(0.05)
        assert 1 == len(heard)


async def test_cancelling_a_call_leaves_the_others_their_answer() -> None:
    """Of fifty askers the first gives up: the others are answered, from one flight a request."""
    async with counted("*:latency=0.5") as (app, asked), connect(app, {}) as client:
        answers: list[bool] = []
        first = anyio.CancelScope()

        async def give_up() -> None:
            with first:
                await client.call_tool("get_funding", {"coins": ["BTC"]})

        async def wait() -> None:
            result = await client.call_tool("get_funding", {"coins": ["BTC"]})
            answers.append(not result.is_error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(give_up)
            await anyio.sleep(0.05)
            for _ in range(49):
                tasks.start_soon(wait)
            await anyio.sleep(0.05)
            first.cancel()
    assert [True] * 49 == answers
    assert {1} == set(asked.values())


@ERAS
async def test_an_unknown_tool_is_taught(era: dict[str, str]) -> None:
    """The nearest name and all there are, as an error result."""
    async with world() as app, connect(app, era) as client:
        text = await failure(client, "get_fundings", {})
    assert "Nearest: get_funding" in text
    assert "get_gex" in text


@ERAS
async def test_a_wide_question_reports_its_progress(era: dict[str, str]) -> None:
    """One notice per venue that is done, up to all of them; nothing for a warm answer."""
    seen: list[tuple[float, float | None]] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        assert message
        seen.append((progress, total))

    question = {"coins": ["BTC"], "venues": "all"}
    async with world("*:latency=0.05") as app, connect(app, era) as client:
        await client.call_tool("get_funding", question, progress_callback=heard)
        cold = list(seen)
        await client.call_tool("get_funding", question, progress_callback=heard)
    count = len(MARKET.venues())
    assert [(float(i + 1), float(count)) for i in range(count)] == cold
    assert cold == seen


async def test_a_chain_comes_in_the_order_of_expiry_strike_and_side() -> None:
    """CONTRACT section 2: rows come in a stable order."""
    async with world() as app, connect(app, {}) as client:
        result = await client.call_tool("get_option_chain", {"underlying": "ETH", "limit": 1000})
    assert result.structured_content is not None
    table = result.structured_content["data"]
    expiry, strike, side = (table["columns"].index(n) for n in ("expiryMs", "strike", "type"))
    keys = [(row[expiry], row[strike], row[side]) for row in table["rows"]]
    assert sorted(keys) == keys


async def test_only_what_is_cut_is_called_narrowed() -> None:
    """Deribit answers funding for BTC and ETH by default, and its whole list of markets."""
    async with world() as app, connect(app, {}) as client:
        funding = await client.call_tool("get_funding", {"venues": "deribit,binance"})
        interest = await client.call_tool("get_oi", {"venues": "binance"})
        markets = await client.call_tool("get_markets", {"exchange": "deribit"})
    assert funding.structured_content is not None
    assert interest.structured_content is not None
    assert markets.structured_content is not None
    assert {"deribit": "BTC, ETH"} == funding.structured_content["meta"]["narrowed"]
    assert "20 largest" in interest.structured_content["meta"]["narrowed"]["binance"]
    assert "narrowed" not in markets.structured_content["meta"]


def test_tools_can_be_narrowed_at_start() -> None:
    """--tools takes families and names; what is neither is refused with what fits."""
    perps = ["get_funding", "get_funding_history", "get_funding_regime", "get_liquidations"]
    perps += ["get_oi", "get_oi_history", "get_positioning", "get_whales"]
    assert perps == [d["name"] for d in tool_definitions("columns", "perps")]
    assert ["get_gex"] == [d["name"] for d in tool_definitions("columns", "get_gex")]
    with pytest.raises(Exception, match=r"Fits: .*perps"):
        tool_definitions("columns", "nothing")


def test_definitions_are_flat_and_quiet() -> None:
    """No title noise, no anyOf null, no $ref in what a model is shown of the inputs."""
    for form in ("columns", "objects"):
        for d in tool_definitions(form):
            text = json.dumps(d["inputSchema"])
            assert '"title"' not in text
            assert "anyOf" not in text
            assert "$ref" not in text
            for name, spec in d["inputSchema"]["properties"].items():
                assert spec.get("description") or spec.get("enum"), (d["name"], name)
            first = d["description"].split("\n")[0]
            assert 20 < len(first) < 110
            assert len(d["description"]) < 1000


def test_all_definitions_are_small() -> None:
    """What test_tokens.py counts in tokens, in characters: for machines without a tokenizer."""
    told = [
        {key: d[key] for key in ("name", "description", "inputSchema")}
        for d in tool_definitions("columns")
    ]
    text = "".join(json.dumps(one, separators=(",", ":"), ensure_ascii=False) for one in told)
    assert len(text) <= 16_650


@ERAS
async def test_the_instructions_lead_to_every_tool(era: dict[str, str]) -> None:
    """They reach the client in both eras, whole (hosts cut at 2,048), and name tools that exist."""
    async with world() as app, connect(app, era) as client:
        told = client.instructions
    assert told == INSTRUCTIONS
    assert len(INSTRUCTIONS) < 2_048
    assert set(endpoints()) == set(re.findall(r"\b(?:get|watch)_\w+", INSTRUCTIONS))
    for word in ("partial", "truncated", "notListed", "stale", "sim:", "longs pay", "not advice"):
        assert word in INSTRUCTIONS


async def test_the_instructions_say_so_where_not_all_is_offered() -> None:
    """With --tools they begin with the names that there are; of a family they stay whole."""
    async with world(tools="options") as app, connect(app, {}) as client:
        told = str(client.instructions)
    first, rest = told.split("\n", 1)
    assert first.endswith("only these are offered: get_option_chain, get_gex, get_skew.")
    assert (True, INSTRUCTIONS) == (len(told) < 2_048, rest)


async def test_unknown_arguments_are_refused_all_the_same() -> None:
    """The schema does not say so; the error does, with the nearest name."""
    async with world() as app, connect(app, {}) as client:
        result = await client.call_tool("get_funding", {"coin": "BTC"})
    assert result.is_error
    assert "Nearest: coins" in getattr(result.content[0], "text", "")
