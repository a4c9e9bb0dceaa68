"""A warm MCP call over HTTP, against a constant tool on the same SDK with the same result."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import CONSTANT, Figure, free_port
from rest import CONNECTIONS, compare, listening, once, serving

ARGUMENTS = {"coins": ["BTC", "ETH", "SOL"], "venues": ["all"]}
VERSION = "2026-07-28"
HEADERS = {
    "Host": "127.0.0.1:1",  # the SDK wants a port
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": VERSION,
    "Mcp-Method": "tools/call",
}


def called(tool: str) -> bytes:
    """A call of a tool as it is sent, of the 2026 era: one request, no session."""
    space = "io.modelcontextprotocol/"
    told = {
        f"{space}protocolVersion": VERSION,
        f"{space}clientInfo": {"name": "benchmark", "version": "1"},
        f"{space}clientCapabilities": {},
    }
    params = {"name": tool, "arguments": ARGUMENTS, "_meta": told}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    body = json.dumps(asked, separators=(",", ":")).encode()
    headers = {**HEADERS, "Mcp-Name": tool, "Content-Length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode() + body


def measure(say: Callable[[str], None]) -> list[Figure]:
    """The same result from both."""
    with serving() as port, tempfile.TemporaryDirectory() as folder:
        _, body = once(port, called("get_funding"))
        result = json.loads(body)["result"]
        kept, constant = Path(folder) / "result.json", free_port()
        kept.write_text(json.dumps(result))
        with listening([*CONSTANT, str(kept), str(constant)], constant):
            asked = called("get_constant_0")
            same = json.loads(once(constant, asked)[1])["result"]
            assert result["structuredContent"] == same["structuredContent"]
            mine, theirs = compare((port, called("get_funding")), (constant, asked))
    rows = len(result["structuredContent"]["data"]["rows"])
    say(f"mcp over http: ours {mine:.0f}/s, constant {theirs:.0f}/s, {rows} rows")
    return [
        Figure(
            "constant tool / warm get_funding, HTTP",
            theirs / mine,
            1.25,
            "x",
            f"{rows} rows, {CONNECTIONS} connections; 1.25 = 0.8 x the calls",
        )
    ]
