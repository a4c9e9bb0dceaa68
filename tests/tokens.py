"""How many tokens a model pays: what is counted, the bounds, and the table of docs/tokens.md.

`python tests/tokens.py` counts anew and writes the table. The tokenizer carries its own tables.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import toktok  # type: ignore[import-untyped]
from mcp import Client
from worlds import world

from mmflow_mcp.surfaces.mcp import build_server, tool_definitions

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tokens.md"
ENCODING = "o200k_base"
# CONTRACT section 4.
ALL_TOOLS = 4_000
EIGHT = ["aster", "binance", "bybit", "gateio", "hyperliquid", "kraken", "lighter", "okx"]
THREE = ["BTC", "ETH", "SOL"]
START, END = "<!-- tokens: generated -->", "<!-- end tokens -->"


@dataclass(frozen=True, eq=False)
class Case:
    """An answer that is counted. `bound` None: told for information."""

    words: str
    tool: str
    arguments: dict[str, Any]
    rows: int
    bound: int | None


CASES = (
    Case("funding, 8 venues, 3 coins", "get_funding", {"coins": THREE, "venues": EIGHT}, 24, 520),
    Case("GEX of BTC, default", "get_gex", {"underlying": "BTC"}, 40, 900),
    Case(
        "open interest of BTC, a week",
        "get_oi_history",
        {"coin": "BTC", "venues": "binance", "sinceMs": "-7d"},
        42,
        1_200,
    ),
    Case(
        "the same of PEPE, long numbers",
        "get_oi_history",
        {"coin": "PEPE", "venues": "bybit", "sinceMs": "-7d"},
        42,
        1_200,
    ),
    Case(
        "funding of BTC, a week, all venues",
        "get_funding_history",
        {"coin": "BTC", "sinceMs": "-7d"},
        14,
        900,
    ),
    Case("flow summary, 3 coins", "get_flow_summary", {"coins": THREE}, 3, 500),
    Case("open interest, all venues", "get_oi", {"coins": THREE, "venues": "all"}, 27, None),
    Case("positioning, 3 coins", "get_positioning", {}, 21, None),
    Case("volatility of BTC", "get_skew", {"underlying": "BTC"}, 60, None),
    Case("option chain of BTC", "get_option_chain", {"underlying": "BTC"}, 50, None),
)


def count(texts: Iterable[str]) -> list[int]:
    """Tokens of each text."""
    return [int(one) for one in toktok.batch_count(list(texts), ENCODING)]


def definitions(form: str = "columns") -> dict[str, int]:
    """Tokens of each tool: name, description and input schema, as compact JSON."""
    told = tool_definitions(form)
    texts = [
        json.dumps(
            {key: one[key] for key in ("name", "description", "inputSchema")},
            separators=(",", ":"),
            ensure_ascii=False,
        )
        for one in told
    ]
    return dict(zip((one["name"] for one in told), count(texts), strict=True))


async def answers() -> dict[Case, str]:
    """The text of every case's answer, on the simulated venues, through a real client."""
    found = {}
    async with world() as app, Client(build_server(app), cache=None) as client:
        for case in CASES:
            result = await client.call_tool(case.tool, case.arguments)
            assert not result.is_error, result.content
            found[case] = str(getattr(result.content[0], "text", ""))
    return found


def table(tools: dict[str, int], told: dict[Case, int]) -> str:
    """The two tables of the page."""
    lines = ["| answer | rows | tokens | bound |", "| --- | ---: | ---: | ---: |"]
    for case, tokens in told.items():
        bound = f"{case.bound:,}" if case.bound else "-"
        lines.append(f"| {case.words} (`{case.tool}`) | {case.rows} | {tokens:,} | {bound} |")
    lines += ["", "| tool definition | tokens |", "| --- | ---: |"]
    lines += [f"| `{name}` | {tokens} |" for name, tokens in tools.items()]
    lines.append(f"| all of them (bound {ALL_TOOLS:,}) | {sum(tools.values()):,} |")
    return "\n".join(lines)


def page(text: str, made: str) -> str:
    """The page with its table made anew."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{made}\n{END}{after}"


def main() -> None:
    """Count, and write the page."""
    found = anyio.run(answers)
    told = dict(zip(found, count(found.values()), strict=True))
    PAGE.write_text(page(PAGE.read_text("utf-8"), table(definitions(), told)), "utf-8")
    sys.stdout.write(PAGE.read_text("utf-8"))


if __name__ == "__main__":
    main()
