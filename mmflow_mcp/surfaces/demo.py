"""`mmflow-mcp demo`: a guided run through a real MCP client, on simulated venues."""

import json
import sys
from dataclasses import replace
from typing import Any

import anyio
from mcp import Client

from mmflow_mcp.app import running
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces.mcp import build_server
from mmflow_mcp.surfaces.tables import plain, table

WIDTH = 78


def say(text: str = "") -> None:
    """Print one line or paragraph."""
    sys.stdout.write(text + "\n")


def heading(text: str) -> None:
    """A line that opens a part."""
    say(f"\n{text}\n{'-' * min(len(text), WIDTH)}")


def question(tool: str, arguments: dict[str, Any]) -> None:
    """Show what the model would send."""
    say(f"> {tool} {json.dumps(arguments, separators=(', ', ': '))}\n")


async def ask(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a tool and return its structured answer; an error is printed and ends the demo."""
    question(tool, arguments)
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        text = getattr(result.content[0], "text", "")
        raise SystemExit(f"{tool}: {text}")
    return dict(result.structured_content)


async def show_offer(client: Client) -> None:
    """What the server offers a model."""
    heading("What the server offers")
    tools = await client.list_tools()
    rows = [[tool.name, (tool.description or "").split("\n")[0]] for tool in tools.tools]
    say(table(["tool", "question it answers"], rows))


async def show_flows(client: Client) -> None:
    """Who buys and who sells, and what stands out."""
    heading("Who is buying?")
    answer = await ask(client, "get_flow_summary", {"coins": ["BTC", "ETH", "SOL"]})
    for coin, _, score, line in answer["data"]["rows"]["rows"]:
        filled = round(abs(score or 0) / 10)
        left = ("#" * filled if (score or 0) < 0 else "").rjust(10)
        right = ("#" * filled if (score or 0) > 0 else "").ljust(10)
        say(f"{coin:<4} {'-' if score is None else f'{score:+d}':>4} [{left}|{right}]  {line}")
    for signal, severity, message, confidence in answer["data"]["signals"]["rows"]:
        coin, slug, _ = signal.split(":")
        say(f"  {severity}: {coin} {slug.replace('-', ' ')}: {message} ({confidence} confidence)")
    say("\n-100 is all selling, +100 all buying; the score is a judgement, not a forecast.")


async def show_funding(client: Client) -> None:
    """Funding across venues, and the widest spread."""
    heading("What does it cost to be long, and where?")
    answer = await ask(client, "get_funding", {"coins": "BTC,ETH", "venues": "all"})
    data = answer["data"]
    say(table(data["columns"], data["rows"]))
    bitcoin = sorted((row[4], row[1]) for row in data["rows"] if row[0] == "BTC")
    (low, cheap), (high, dear) = bitcoin[0], bitcoin[-1]
    say(
        f"\nLongs of BTC pay {high:g} % a year on {dear} and {low:g} % on {cheap}:"
        f" {high - low:.2f} points apart."
    )


async def show_open_interest(client: Client) -> None:
    """Open interest across venues, added up."""
    heading("How much is open?")
    answer = await ask(client, "get_oi", {"coins": ["PEPE", "BTC"], "venues": ["all"]})
    data = answer["data"]
    say(table(data["columns"], data["rows"]))
    total = sum(row[2] for row in data["rows"] if row[0] == "BTC")
    say(f"\nBTC on all venues: {total / 1e9:,.2f} billion USD, every contract counted once.")
    say("PEPE is listed as kPEPE, 1000PEPE and PEPE_USDT; all are counted in coins of PEPE.")


async def show_gamma(client: Client) -> None:
    """Walls and flip."""
    heading("Where is the BTC gamma flip?")
    answer = await ask(client, "get_gex", {"underlying": "BTC", "limit": 12})
    data = answer["data"]
    rows = data["strikes"]["rows"]
    largest = max(abs(row[3]) for row in rows) or 1.0
    for strike, _, _, gex in rows:
        bar = ("+" if gex > 0 else "-") * max(1, round(abs(gex) / largest * 40))
        say(f"{strike:>9,.0f}  {gex / 1e6:>9,.2f} M  {bar}")
    say(
        f"\nspot {data['spot']:,.0f}, total {data['totalGex'] / 1e6:,.1f} M USD per 1 %,"
        f" flip {plain(data['gammaFlip'])} ({data['gammaFlipMethod']})"
    )
    say(f"call wall {plain(data['callWall'])}; put wall {plain(data['putWall'])}")


async def show_skew(client: Client) -> None:
    """The term structure."""
    heading("What does volatility cost?")
    answer = await ask(client, "get_skew", {"underlying": "ETH", "limit": 1})
    term = answer["data"]["termStructure"]
    picked = [
        term["columns"].index(n) for n in ("expiryLabel", "dteDays", "atmIv", "riskReversal25")
    ]
    say(table([term["columns"][i] for i in picked], [[r[i] for i in picked] for r in term["rows"]]))


async def show_failure(settings: Settings) -> None:
    """The same question while venues are down."""
    heading("And when a venue is down?")
    say("The same market, with bybit answering 503, okx a page of HTML and gateio nothing at all:")
    faults = "bybit:http=503;okx:html;gateio:timeout"
    broken = replace(settings, faults=faults, deadline=1.5)
    async with running(broken) as app, Client(build_server(app)) as client:
        answer = await ask(client, "get_funding", {"coins": "BTC", "venues": "all"})
    say(table(answer["data"]["columns"], answer["data"]["rows"]))
    say(f"\npartial: {json.dumps(answer['meta']['partial'])}")
    for note in answer["meta"]["sources"]:
        say(f"  {note['source']}: {note['status']}, {note['reason']}")


async def show_mistake(client: Client) -> None:
    """An error that teaches."""
    heading("And when the question is wrong?")
    arguments = {"coins": ["BTC"], "venues": ["binanse"]}
    question("get_funding", arguments)
    result = await client.call_tool("get_funding", arguments)
    say(getattr(result.content[0], "text", ""))


def run_demo(settings: Settings) -> int:
    """The whole tour."""

    async def tour() -> None:
        where = "simulated venues" if settings.source.startswith("sim") else settings.source
        say(f"mmflow-mcp on {where}: every answer below went through a real MCP client.")
        async with running(settings) as app, Client(build_server(app)) as client:
            await show_offer(client)
            await show_flows(client)
            await show_funding(client)
            await show_open_interest(client)
            await show_gamma(client)
            await show_skew(client)
            await show_mistake(client)
        if settings.source == "sim":
            await show_failure(settings)
        heading("Next")
        say('Add it to a client: {"mcpServers": {"mmflow": {"command": "mmflow-mcp"}}}')
        say("One live question: mmflow-mcp call get_funding coins=BTC venues=all")

    anyio.run(tour)
    return 0
