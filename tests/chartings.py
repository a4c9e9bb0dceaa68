"""Tool results for tests of the charts: from the simulated market, in both forms, and by hand."""

import copy
from collections.abc import Mapping
from typing import Any

from mcp import Client
from worlds import world

from mmflow_mcp.app import App
from mmflow_mcp.surfaces import questions
from mmflow_mcp.surfaces.mcp import build_server

HOUR = 3_600_000
T0 = 1_789_400_000_000
# Name of the case: the chart, the tool, its question.
CASES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "funding": ("funding", "get_funding", {"coins": ["BTC", "ETH", "SOL"], "venues": "all"}),
    "funding of 50 coins": ("funding", "get_funding", {}),
    "gex": ("gex", "get_gex", {"underlying": "BTC"}),
    "skew": ("skew", "get_skew", {"underlying": "BTC"}),
    "funding history": ("history", "get_funding_history", {"coin": "BTC", "sinceMs": "-2d"}),
    "oi history": (
        "history",
        "get_oi_history",
        {"coin": "BTC", "venues": ["binance"], "sinceMs": "-24h"},
    ),
    "oi history of venues": (
        "history",
        "get_oi_history",
        {"coin": "BTC", "venues": ["binance", "gateio", "aster"], "sinceMs": "-24h"},
    ),
    "flows": ("flows", "get_flow_summary", {"coins": ["BTC", "SOL"], "detail": "full"}),
}


async def asked(client: Client, tool: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's result, as a host hands it to a chart."""
    result = await client.call_tool(tool, dict(question))
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def as_objects(app: App, tool: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """The same result as a server with MMFLOW_TOOL_ROWS=objects gives it."""
    understood = questions.understand(tool, dict(question))
    found = await questions.answer(app.core(), understood)
    return {"content": [], "structuredContent": questions.result(understood, found, "objects")}


async def every_result() -> dict[str, dict[str, dict[str, Any]]]:
    """The results of all cases by form of rows; `failing`: with a venue down; `error`: none up."""
    rows, named = {}, {}
    async with world() as app, Client(build_server(app), cache=None) as client:
        for name, (_, tool, question) in CASES.items():
            rows[name] = await asked(client, tool, question)
            named[name] = await as_objects(app, tool, question)
    async with world("bybit:http=503") as app, Client(build_server(app), cache=None) as client:
        question = {"coins": ["BTC", "WIF"], "venues": ["bybit", "binance", "kraken"]}
        rows["failing"] = await asked(client, "get_funding", question)
        rows["error"] = await asked(client, "get_funding", {"venues": "bybit"})
    return {"columns": rows, "objects": named}


def result_of(data: Any, **meta: Any) -> dict[str, Any]:
    """A result made by hand."""
    known = {"fetchedAt": T0, "source": "binance:x", "partial": False, "sources": [], **meta}
    return {"content": [], "structuredContent": {"data": data, "meta": known}}


def note(source: str, status: str, reason: str, **more: Any) -> dict[str, Any]:
    """One entry of meta.sources."""
    return {"source": source, "status": status, "reason": reason, **more}


def minutes_of(values: Mapping[int, float]) -> dict[str, Any]:
    """A flow metric by minute."""
    rows = [[T0 + minute * 60_000, value] for minute, value in values.items()]
    points = {"columns": ["t", "v"], "rows": rows}
    unit = "-100 selling .. +100 buying"
    return {"coin": "BTC", "metric": "flowPressureScore", "unit": unit, "points": points}


def rates_of(
    rows: list[list[Any]], kinds: Mapping[str, str], hours: Mapping[str, float]
) -> dict[str, Any]:
    """Funding over time, its first column the hour."""
    table = [[T0 + row[0] * HOUR, *row[1:]] for row in rows]
    points = {"columns": ["ts", *kinds], "rows": table}
    shared = {"coin": "BTC", "cadenceMs": 600_000, "enabled": True}
    return {**shared, "points": points, "kinds": dict(kinds), "periodHours": dict(hours)}


def hostile(value: Any, text: str) -> Any:
    """The same with every text an outsider's; what tells the shape stays."""
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [hostile(one, text) for one in value]
    if isinstance(value, dict):
        return {
            key: copy.deepcopy(one) if key == "columns" else hostile(one, text)
            for key, one in value.items()
        }
    return value


def tables_in(data: Any) -> list[list[list[Any]]]:
    """The rows of every table of an answer in columns, in its order."""
    if isinstance(data, dict) and "columns" in data:
        return [data["rows"]]
    if isinstance(data, dict):
        return [table for value in data.values() for table in tables_in(value)]
    if isinstance(data, list):
        return [table for value in data for table in tables_in(value)]
    return []
