"""MCP: one tool per endpoint, the catalogue as resources, over stdio and streamable HTTP.

Tools are listed from `tools.json`; endpoints, venues and models load at the first question.
"""

import difflib
import json
import logging
import sys
from importlib.resources import files
from typing import Any

from mcp.server import MCPServer
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.types import (
    CallToolResult,
    TextContent,
    ToolAnnotations,
)
from pydantic import ConfigDict
from pydantic_core import to_json

from mmflow_mcp import __version__
from mmflow_mcp.app import App
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.surfaces.notices import StreamNotices
from mmflow_mcp.surfaces.remembered import Remembered
from mmflow_mcp.surfaces.resources import add_resources
from mmflow_mcp.surfaces.subscriptions import BusBridge, serve_subscriptions

INSTRUCTIONS = """\
Live crypto market data across venues; read-only, no keys, data and not advice.
Perpetuals: get_oi (open interest, USD and coins), get_funding (rates; compare venues by apr),
get_positioning (long and short shares), get_liquidations.
Live (Hyperliquid): get_whales (so far), watch_whales, watch_trades, watch_funding (wait and tell).
Over time: get_funding_history, get_oi_history, get_flow_history; get_funding_regime tells what is
unusual against the last week.
Options (BTC, ETH, SOL, XRP): get_gex (walls, flip), get_skew (volatility), get_option_chain.
Flows: get_flow_summary first (who buys and sells, one score), get_flow_signals (alerts); parts:
get_etf_proxy (Coinbase), get_kimchi (Korean premium), get_venue_spreads (against the median).
Prices: get_spot (tickers), get_candles (one coin's bars on one venue), get_points (totals over
venues, market profile, order-book blocks).
Bitcoin and ether: get_etf_flows, get_treasuries, get_valuation.
get_markets tells which venues can be asked and what they list.
Coins are tickers (BTC); venues are ids (binance, okx, hl) or all; each tool has its own default.
Positive funding: longs pay shorts. Open interest is one-sided. gex: calls +, puts - (assumed).
Read meta before concluding: partial true means something asked is missing and sources say why;
truncated: rows were left out; a source beginning sim: or replay: is not the live market."""


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
    """An MCPServer whose unknown tools teach."""

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


def build_server(app: App) -> MCPServer:
    """The server of both eras, for stdio and HTTP alike."""
    quiet_logging(app.settings.log)
    form = app.settings.tool_rows
    definitions = tool_definitions(form, app.settings.tools)
    known = Remembered(app.clock)
    if app.link is not None:
        # What is kept says whether there is a fleet.
        app.link.on_turn(known.clear)
    bridge = BusBridge(app.bus)
    lists = CacheHint(ttl_ms=3_600_000, scope="public")
    server = Server(
        name="mmflow",
        title="mmflow market data",
        description="Cross-venue crypto market data: funding, open interest, options",
        instructions=INSTRUCTIONS,
        version=__version__,
        tools=[_tool(app, d, form, known) for d in definitions],
        cache_hints={
            "tools/list": lists,
            "resources/list": lists,
            "resources/templates/list": lists,
            "resources/read": CacheHint(ttl_ms=1_000, scope="public"),
        },
        subscriptions=bridge,
        log_level="WARNING",
    )
    notices = StreamNotices(app, lambda: bridge.listening or subscribed())
    add_resources(server, app, notices)
    subscribed = serve_subscriptions(server, app.bus, app.soon, notices.need)
    return server


def quiet_logging(level: str) -> None:
    """Logs go to stderr in plain lines, before the SDK sets up its own; stdout is the wire."""
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def _tool(app: App, definition: dict[str, Any], form: str, known: Remembered) -> Tool:
    name = definition["name"]

    async def call(args: dict[str, Any], ctx: Context[Any, Any]) -> CallToolResult:
        return await call_tool(app, name, args, form, known, ctx)

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
    )


async def call_tool(
    app: App,
    name: str,
    args: dict[str, Any],
    form: str,
    known: Remembered,
    ctx: Context[Any, Any],
) -> CallToolResult:
    """Answer one call; every failure is an error result whose text tells what to do.

    While venues are awaited their number is sent as progress, where the client asked for it.
    """
    app.used()
    question = (name, to_json(args))
    result: CallToolResult | None = known.get(question)
    if result is not None:
        return result
    from mmflow_mcp.core.fanout import PROGRESS  # noqa: PLC0415 - loads venues
    from mmflow_mcp.surfaces import questions  # noqa: PLC0415 - loads endpoints and models

    async def progress(done: int, total: int, venue: str) -> None:
        await ctx.report_progress(done, total, f"{venue} is done")

    PROGRESS.set(progress)
    try:
        asked = questions.understand(name, args)
        found = await questions.answer(app.core(), asked)
        structured = questions.result(asked, found, form)
    except Exception as error:  # noqa: BLE001 - the last line before the client; `said` logs it
        text = questions.said(name, error)
        return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
    text = to_json(structured).decode()
    result = CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=structured
    )
    known.keep(question, result, found.until)
    return result
