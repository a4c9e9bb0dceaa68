"""How each client is told of this server: the text of its configuration, or the command.

One function per client. Without an address the client starts the server itself, on stdio; with one
(`http://HOST:PORT/mcp`) it asks the server that runs there. `key`: whether that wants a key; KEY
stands where it belongs.
"""

import json
from typing import Any

NAME = "mmflow"
COMMAND = "mmflow-mcp"
HEADER = "Authorization"
BEARER = "Bearer KEY"

_PYTHON = """\
import asyncio

from mcp import Client


async def main():
    async with Client("{address}") as client:
        answer = await client.call_tool("get_funding", {{"coins": "BTC", "venues": "all"}})
        print(answer.structured_content)


asyncio.run(main())"""

_PYTHON_WITH_KEY = """\
import asyncio

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main():
    http = httpx2.AsyncClient(headers={{"Authorization": "Bearer KEY"}}, timeout=30)
    transport = streamable_http_client("{address}", http_client=http)
    async with http, Client(transport) as client:
        answer = await client.call_tool("get_funding", {{"coins": "BTC", "venues": "all"}})
        print(answer.structured_content)


asyncio.run(main())"""


def claude_desktop() -> str:
    """`claude_desktop_config.json`: it holds commands only, so there is no form with an address."""
    return json.dumps({"mcpServers": {NAME: {"command": COMMAND}}}, indent=2)


def claude_code(address: str | None = None, *, key: bool = False) -> str:
    """A command line."""
    if address is None:
        return f"claude mcp add {NAME} -- {COMMAND}"
    header = f' \\\n  --header "{HEADER}: {BEARER}"' if key else ""
    return f"claude mcp add --transport http {NAME} {address}{header}"


def vscode(address: str | None = None, *, key: bool = False) -> str:
    """`.vscode/mcp.json`."""
    if address is None:
        return json.dumps({"servers": {NAME: {"type": "stdio", "command": COMMAND}}}, indent=2)
    return json.dumps({"servers": {NAME: {"type": "http", **_remote(address, key=key)}}}, indent=2)


def cursor(address: str | None = None, *, key: bool = False) -> str:
    """`~/.cursor/mcp.json`."""
    one = {"command": COMMAND} if address is None else _remote(address, key=key)
    return json.dumps({"mcpServers": {NAME: one}}, indent=2)


def python(address: str, *, key: bool = False) -> str:
    """A script that asks one question over MCP."""
    return (_PYTHON_WITH_KEY if key else _PYTHON).format(address=address)


def curl(url: str, *, key: bool = False) -> str:
    """A question over REST."""
    header = f' -H "{HEADER}: {BEARER}"' if key else ""
    return f'curl "{url}"{header}'


def _remote(address: str, *, key: bool) -> dict[str, Any]:
    return {"url": address, **({"headers": {HEADER: BEARER}} if key else {})}
