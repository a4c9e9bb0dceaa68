"""What is compared against: a server on the same SDK whose 25 tools return constants.

With a file as its argument the tools return that file's result (JSON of a tools/call result), and
with a port after it they are served over HTTP instead of stdio.
"""

import json
import sys
from pathlib import Path

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import ConfigDict

RESULT = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else None
STRUCTURED = RESULT["structuredContent"] if RESULT else {"data": [], "meta": {}}
TEXT = RESULT["content"][0]["text"] if RESULT else "{}"


class AnyArgs(ArgModelBase):
    """Takes every argument."""

    model_config = ConfigDict(extra="allow")

    def model_dump_one_level(self) -> dict[str, object]:
        """All arguments under one name."""
        return {"args": dict(self.__pydantic_extra__ or {})}


async def constant(args: dict[str, object]) -> CallToolResult:
    """The constant."""
    return CallToolResult(
        content=[TextContent(type="text", text=TEXT)], structured_content=STRUCTURED
    )


def tool(number: int) -> Tool:
    """One of the tools; its schema is of the usual size."""
    return Tool(
        fn=constant,
        name=f"get_constant_{number}",
        title=f"Constant {number}",
        description="A constant answer.\nIt is what a real tool of this size is compared against.",
        is_async=True,
        context_kwarg=None,
        parameters={
            "type": "object",
            "properties": {
                "coins": {"type": "array", "items": {"type": "string"}, "description": "Tickers"},
                "venues": {"type": "array", "items": {"type": "string"}, "description": "Ids"},
                "limit": {"type": "integer", "minimum": 1, "default": 50},
            },
        },
        fn_metadata=FuncMetadata(
            arg_model=AnyArgs, output_schema={"type": "object", "properties": {}}
        ),
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=True),
    )


server = MCPServer("constant", version="1", tools=[tool(n) for n in range(25)], log_level="WARNING")
if len(sys.argv) > 2:
    uvicorn.run(
        server.streamable_http_app(), port=int(sys.argv[2]), log_level="warning", access_log=False
    )
else:
    server.run("stdio")
