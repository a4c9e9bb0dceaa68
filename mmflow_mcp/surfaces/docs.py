"""Writes what is derived from the declarations: tools.json, manifests, README tables.

`python -m mmflow_mcp.surfaces.docs` writes them; with `--check` it only says what is out of date.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from mmflow_mcp import __version__
from mmflow_mcp.endpoints.declare import endpoints
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces.openapi import operations
from mmflow_mcp.surfaces.prompts import recipes
from mmflow_mcp.surfaces.schema import FORMS, definitions
from mmflow_mcp.venues import capabilities, roll


def checkout() -> Path:
    """The checkout we stand in: the package itself may be installed elsewhere."""
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").exists() and (folder / "mmflow_mcp").is_dir():
            return folder
    raise SystemExit("this is run in a checkout of mmflow-mcp")


def tools_json() -> str:
    """The tool definitions in both forms of rows."""
    return json.dumps({form: definitions(form) for form in FORMS}, indent=1) + "\n"


def manifest_json(text: str) -> str:
    """The manifest with its tools and prompts as they are declared."""
    manifest = json.loads(text)
    manifest["tools"] = [
        {"name": e.name, "description": first_line(e.description)} for e in endpoints().values()
    ]
    manifest["prompts"] = [
        {
            "name": one.name,
            "description": one.description,
            "arguments": [arg.name for arg in one.arguments],
            "text": one.blank(),
        }
        for one in recipes().values()
    ]
    return json.dumps(manifest, indent=2) + "\n"


# What somebody who adds the server from a registry may want to set, and whether it is a secret.
ASKED_FOR = {"source": False, "store": False, "venues_off": False, "contact": False}
ASKED_FOR |= {"proxy": True, "ca_bundle": False}


def server_json(text: str) -> str:
    """The entry of the MCP registry with our version and the settings that it offers."""
    server = json.loads(text)
    server["version"] = server["packages"][0]["version"] = __version__
    server["packages"][0]["environmentVariables"] = [
        {
            "name": f.metadata["variable"],
            "description": f.metadata["description"],
            **({"default": f.default} if f.default else {}),
            **({"isSecret": True} if ASKED_FOR[f.name] else {}),
        }
        for f in fields(Settings)
        if f.name in ASKED_FOR
    ]
    return json.dumps(server, indent=2) + "\n"


def prompts_table() -> str:
    """The prompts, for the README."""
    lines = ["| prompt | what it does | arguments |", "| --- | --- | --- |"]
    for one in recipes().values():
        given = ", ".join(f"`{arg.name}`" + " (required)" * arg.required for arg in one.arguments)
        lines.append(f"| `{one.name}` | {one.description} | {given} |")
    return "\n".join(lines)


def first_line(description: str) -> str:
    """The sentence that lets a model choose the tool."""
    return description.split("\n", 1)[0]


def tools_table() -> str:
    """The tools, for the README."""
    lines = ["| tool | question it answers | example arguments |", "| --- | --- | --- |"]
    for e in endpoints().values():
        example = json.dumps(e.example, separators=(", ", ": "))
        lines.append(f"| `{e.name}` | {first_line(e.description)} | `{example}` |")
    return "\n".join(lines)


def paths_table() -> str:
    """The paths of REST, for the README."""
    lines = ["| path | tool | may be kept for |", "| --- | --- | --- |"]
    for path, e in operations().items():
        tool = f"`{e.name}`" if e.name in endpoints() else "without envelope"
        lines.append(f"| `{path}` | {tool} | {e.ttl} s |")
    return "\n".join(lines)


def venues_table() -> str:
    """The venues, for the README."""
    lines = ["| venue | kind | status | can be asked for |", "| --- | --- | --- | --- |"]
    for venue in roll().values():
        can = ", ".join(name for name, able in capabilities(venue).items() if able)
        lines.append(f"| `{venue.id}` | {venue.kind} | {venue.status} | {can or 'nothing yet'} |")
    return "\n".join(lines)


def settings_table() -> str:
    """The settings, for the README."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for f in fields(Settings):
        default = f"`{str(f.default).lower()}`" if f.default != "" else "not set"
        lines.append(f"| `{f.metadata['variable']}` | {default} | {f.metadata['description']} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "tools": tools_table,
    "prompts": prompts_table,
    "paths": paths_table,
    "venues": venues_table,
    "settings": settings_table,
}


def readme(text: str) -> str:
    """The README with its tables between their markers made anew."""
    for name, table in TABLES.items():
        start, end = f"<!-- {name}: generated -->", f"<!-- end {name} -->"
        before, found, rest = text.partition(start)
        _, closed, after = rest.partition(end)
        if found and closed:
            text = f"{before}{start}\n{table()}\n{end}{after}"
    return text


def derived() -> dict[Path, str]:
    """Every derived file with the text it should have."""
    root = checkout()
    manifest, page = root / "manifest.json", root / "README.md"
    server = root / "server.json"
    return {
        root / "mmflow_mcp/surfaces/tools.json": tools_json(),
        manifest: manifest_json(manifest.read_text("utf-8")),
        server: server_json(server.read_text("utf-8")),
        page: readme(page.read_text("utf-8")),
    }


def main(arguments: list[str]) -> int:
    """Write the derived files, or with --check tell which are out of date."""
    stale = [
        path
        for path, text in derived().items()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    for path in stale:
        if "--check" not in arguments:
            path.write_text(derived()[path], "utf-8")
        sys.stderr.write(f"{path.name} was out of date\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
