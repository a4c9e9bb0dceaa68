"""MCP: one tool per endpoint, the catalogue as resources, over stdio and streamable HTTP.

Tools are listed from `tools.json`; endpoints, venues and models load at the first question.
"""

import difflib
import json
from importlib.resources import files
from typing import Any

from mcp.server import MCPServer
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolResult,
    GetPromptResult,
    Icon,
    Prompt,
    PromptArgument,
    PromptMessage,
    TextContent,
    ToolAnnotations,
)
from pydantic import ConfigDict

from mmflow_mcp import __version__
from mmflow_mcp.app import App
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.surfaces import logs
from mmflow_mcp.surfaces.apps import chart_pages
from mmflow_mcp.surfaces.calls import Calls
from mmflow_mcp.surfaces.charts import chart_of
from mmflow_mcp.surfaces.icon import data_uri
from mmflow_mcp.surfaces.notices import StreamNotices
from mmflow_mcp.surfaces.resources import add_resources
from mmflow_mcp.surfaces.subscriptions import BusBridge, serve_subscriptions

# Hosts cut them at 2,048 characters.
INSTRUCTIONS = """\
Crypto market data across venues; read-only, no keys, data and not advice. One call takes many coins
and venues=all; get_funding and get_oi ask hyperliquid alone unless told.
Funding: get_funding (now; compare apr), get_funding_history (over time), get_funding_regime
(unusual against the last week, venues apart).
Open interest: get_oi (now), get_oi_history (over time), get_points (totals over venues).
Positions: get_positioning (who is long), get_liquidations (24 h, a lower bound).
Options (BTC, ETH, SOL, XRP): get_gex (walls, flip), get_skew (volatility), get_option_chain.
Flows: get_flow_summary first (who buys and sells, one score), get_flow_signals (alerts); parts:
get_etf_proxy (Coinbase), get_kimchi (Korea), get_venue_spreads; over time get_flow_history.
Prices: get_spot (now, by venue), get_candles (bars of one venue), get_points (profile, blocks of
the book).
Bitcoin and ether: get_etf_flows, get_treasuries, get_valuation (bitcoin).
Trades on Hyperliquid: get_whales (large, so far); watch_whales, watch_trades, watch_funding wait.
Venues, their symbols, prediction markets: get_markets.
Coins are tickers (BTC); venues are ids (binance, okx, hl) or all. Times: epoch ms UTC, ISO or -24h.
rate: fraction per periodHours; apr: percent a year; positive: longs pay shorts. Open interest is
one-sided. gex: USD per 1 % move, calls +, puts - (assumed, not known).
Read meta before concluding. partial true: something asked is missing and sources say what and why;
say so, never fill it in. status stale: old, by ageMs. notListed: the venue has no such coin.
truncated: rows were left out of total. asOf: the oldest reading used. A source beginning sim: or
replay: is not the live market. An error names what would fit: correct the call."""


class AnyArgs(ArgModelBase):
    """Hands every argument to the tool as it came: the declaration's own model judges them."""

    model_config = ConfigDict(extra="allow")

    def model_dump_one_level(self) -> dict[str, Any]:
        """All arguments under one name."""
        return {"args": dict(self.__pydantic_extra__ or {})}


def tool_definitions(form: str, wanted: str = "") -> list[dict[str, Any]]:
    """The tools of `tools.json` in a form, narrowed to families or names if any are given."""
    text = files("mmflow_mcp.surfaces").joinpath("tools.json").read_text("utf-8")
    every: list[dict[str, Any]] = json.loads(text)[form]
    names = {part.strip() for part in wanted.split(",") if part.strip()}
    if not names:
        return every
    known = {d["family"] for d in every} | {d["name"] for d in every}
    if names - known:
        raise BadQuestion(
            "tools",
            f"{', '.join(sorted(names - known))}: no such family or tool.",
            fits=", ".join(sorted(known)),
        )
    return [d for d in every if d["name"] in names or d["family"] in names]


class Server(MCPServer):
    """An MCPServer whose unknown tools and prompts teach, and whose prompts load when asked for."""

    async def list_prompts(self) -> list[Prompt]:
        """The recipes that the offered tools can follow."""
        from mmflow_mcp.surfaces import prompts  # noqa: PLC0415 - few sessions ask for them

        return [
            Prompt(
                name=one.name,
                title=one.title,
                description=one.description,
                icons=icons(),
                arguments=[
                    PromptArgument(
                        name=arg.name,
                        title=arg.title,
                        description=arg.description,
                        required=arg.required,
                    )
                    for arg in one.arguments
                ],
            )
            for one in prompts.listed(tool.name for tool in self._tool_manager.list_tools())
        ]

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        context: Context[Any, Any] | None = None,  # noqa: ARG002 - the SDK's signature
    ) -> GetPromptResult:
        """A recipe for these arguments; a wrong one is -32602 and what would fit."""
        from mmflow_mcp.surfaces import prompts  # noqa: PLC0415 - few sessions ask for them

        try:
            recipe, text = prompts.rendered(name, arguments)
        except BadQuestion as error:
            raise MCPError(INVALID_PARAMS, str(error)) from None
        words = TextContent(type="text", text=text)
        return GetPromptResult(
            description=recipe.description, messages=[PromptMessage(role="user", content=words)]
        )

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> Any:
        """Call a tool; for a name that is none, tell the nearest and all there are."""
        if self._tool_manager.get_tool(name) is None:
            names = [tool.name for tool in self._tool_manager.list_tools()]
            near = difflib.get_close_matches(name, names, n=1)
            error = BadQuestion(
                "tool", f"{name[:60]!r} is none.", nearest=near, fits=", ".join(names)
            )
            return CallToolResult(
                content=[TextContent(type="text", text=str(error))], is_error=True
            )
        return await super().call_tool(name, arguments, context)


def _instructions(narrowed: str, offered: list[str]) -> str:
    """What the server says of itself; where not all tools are offered, first which are."""
    if not narrowed:
        return INSTRUCTIONS
    return f"Of the tools named below only these are offered: {', '.join(offered)}.\n{INSTRUCTIONS}"


def icons() -> list[Icon]:
    """The icon, as data: showing it asks nobody."""
    return [Icon(src=data_uri(), mime_type="image/svg+xml", sizes=["any"])]


def build_server(app: App) -> MCPServer:
    """The server of both eras, for stdio and HTTP alike."""
    logs.set_up(app.settings)
    definitions = tool_definitions(app.settings.tool_rows, app.settings.tools)
    calls = Calls(app)
    bridge = BusBridge(app.bus)
    lists = CacheHint(ttl_ms=3_600_000, scope="public")
    server = Server(
        name="mmflow",
        title="mmflow market data",
        description="Cross-venue crypto market data: funding, open interest, options",
        instructions=_instructions(app.settings.tools, [d["name"] for d in definitions]),
        icons=icons(),
        version=__version__,
        tools=[_tool(calls, d) for d in definitions],
        cache_hints={
            "server/discover": lists,
            "tools/list": lists,
            "prompts/list": lists,
            "resources/list": lists,
            "resources/templates/list": lists,
            "resources/read": CacheHint(ttl_ms=1_000, scope="public"),
        },
        subscriptions=bridge,
        extensions=[chart_pages([d["name"] for d in definitions])],
        log_level="WARNING",
    )
    notices = StreamNotices(app, lambda: bridge.listening or subscribed())
    add_resources(server, app, notices)
    subscribed = serve_subscriptions(server, app.bus, app.soon, notices.need)
    return server


def _tool(calls: Calls, definition: dict[str, Any]) -> Tool:
    name = definition["name"]

    async def call(args: dict[str, Any], ctx: Context[Any, Any]) -> CallToolResult:
        return await calls.answer(name, args, ctx)

    return Tool(
        fn=call,
        name=name,
        title=definition["title"],
        description=definition["description"],
        is_async=True,
        context_kwarg="ctx",
        parameters=definition["inputSchema"],
        fn_metadata=FuncMetadata(arg_model=AnyArgs, output_schema=definition["outputSchema"]),
        annotations=ToolAnnotations(
            title=definition["title"], read_only_hint=True, open_world_hint=True
        ),
        meta={"ui": {"resourceUri": chart}} if (chart := chart_of(name)) else None,
    )
