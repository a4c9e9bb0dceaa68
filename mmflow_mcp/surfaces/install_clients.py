"""The MCP clients that can be set up: where each keeps its servers, and what an entry looks like.

Pure: nothing is read or written here. Paths are those of the platform that is asked for, so that
every platform can be looked at from any. Sources: VS Code's MCP configuration reference, Cursor's
and Claude Code's pages on MCP, and for Claude Desktop on Windows anthropics/claude-code#26073.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from mmflow_mcp.settings import UserPlaces

NAME = "mmflow"
DESKTOP_FILE = "claude_desktop_config.json"
# Where Windows keeps the data of Claude Desktop when it comes as a package, under LOCALAPPDATA:
# the newest layout first. The folders' names end in an id.
PACKAGED = ("Claude-Data/claude_*", "Packages/Claude_*/LocalCache/Roaming/Claude")


@dataclass(frozen=True, slots=True)
class Client:
    """A client: `key` holds its servers, `shared` is its file in a workspace ("": it has none)."""

    id: str
    title: str
    key: str
    shared: str
    then: str
    typed: bool = False


CLIENTS = {
    client.id: client
    for client in (
        Client("claude-desktop", "Claude Desktop", "mcpServers", "", "Restart Claude Desktop."),
        Client(
            "claude-code",
            "Claude Code",
            "mcpServers",
            ".mcp.json",
            "The next session has it; /mcp shows it.",
            typed=True,
        ),
        Client("cursor", "Cursor", "mcpServers", ".cursor/mcp.json", "Restart Cursor."),
        Client(
            "vscode",
            "VS Code",
            "servers",
            ".vscode/mcp.json",
            "Start it with 'MCP: List Servers' in the command palette.",
            typed=True,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Location:
    """A configuration file; the client has been here where the folder `sign` exists."""

    file: PurePath
    sign: PurePath


def stdio_entry(
    client: Client,
    command: str = "mmflow-mcp",
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The entry that makes a client start this server on stdio."""
    entry: dict[str, Any] = {"type": "stdio"} if client.typed else {}
    entry |= {"command": command, "args": list(args)}
    if env:
        entry["env"] = dict(env)
    return entry


def snippet(client: Client, name: str, entry: Mapping[str, Any]) -> str:
    """The whole configuration with one entry, as text to paste."""
    return json.dumps({client.key: {name: entry}}, indent=2, ensure_ascii=False)


def locations(
    client: Client, platform: str, places: UserPlaces, packaged: Sequence[str] = ()
) -> list[Location]:
    """Where a client keeps the user's servers, the likeliest first; empty where nobody knows.

    `packaged`: folders of Claude Desktop as a Windows package, as they were found.
    """
    kind = PureWindowsPath if platform == "win32" else PurePosixPath
    home = kind(places.home) if places.home else None
    if client.id == "claude-code":
        # With a folder of its own named, the file is in it.
        place = kind(places.claude) if places.claude else home
        sign = kind(places.claude) if places.claude else home and home / ".claude"
        return [Location(place / ".claude.json", sign)] if place and sign else []
    if client.id == "cursor":
        return [Location(home / ".cursor/mcp.json", home / ".cursor")] if home else []
    config = _config_folder(platform, places, home)
    if client.id == "vscode":
        if config is None:
            return []
        return [Location(config / "Code/User/mcp.json", config / "Code")]
    folders: list[PurePath] = [kind(folder) for folder in packaged]
    if config is not None:
        folders.append(config / "Claude")
    return [Location(folder / DESKTOP_FILE, folder) for folder in folders]


def _config_folder(platform: str, places: UserPlaces, home: PurePath | None) -> PurePath | None:
    """Where applications keep the user's configuration."""
    if platform == "win32":
        if places.appdata:
            return PureWindowsPath(places.appdata)
        return home and home / "AppData/Roaming"
    if platform == "darwin":
        return home and home / "Library/Application Support"
    # The standard has relative paths ignored.
    if places.config.startswith("/"):
        return PurePosixPath(places.config)
    return home and home / ".config"
