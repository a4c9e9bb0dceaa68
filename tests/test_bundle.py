"""The bundle's manifest, the registry's entry and the icon say what the server really offers.

Packing, installing and driving the bundle needs node, uv and a package index: CI does it with
`smoke_bundle.py`.
"""

import json
import re
import struct
from dataclasses import fields
from pathlib import Path

import anyio
from mcp import Client
from mcp.types import Prompt, Tool

from mmflow_mcp import __version__
from mmflow_mcp.app import running
from mmflow_mcp.settings import Settings, from_environment
from mmflow_mcp.surfaces.mcp import build_server

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = json.loads((ROOT / "manifest.json").read_text("utf-8"))
SERVER = json.loads((ROOT / "server.json").read_text("utf-8"))
VARIABLES = {f.metadata["variable"]: f for f in fields(Settings)}


async def listed() -> tuple[list[Tool], list[Prompt]]:
    """What a client is told."""
    async with (
        running(from_environment({}, source="sim")) as app,
        Client(build_server(app)) as client,
    ):
        has_prompts = client.server_capabilities.prompts is not None
        prompts = (await client.list_prompts()).prompts if has_prompts else []
        return (await client.list_tools()).tools, prompts


def test_the_manifest_lists_what_a_client_is_told() -> None:
    """Tools and prompts, in their order; descriptions are the beginnings of the real ones."""
    tools, prompts = anyio.run(listed)
    assert [tool.name for tool in tools] == [tool["name"] for tool in MANIFEST["tools"]]
    for live, told in zip(tools, MANIFEST["tools"], strict=True):
        assert (live.description or "").startswith(told["description"])
    named = [prompt["name"] for prompt in MANIFEST.get("prompts", [])]
    assert [prompt.name for prompt in prompts] == named


def test_every_question_of_the_form_is_a_setting() -> None:
    """What the user fills in reaches its variable; what is left open is not set."""
    env = MANIFEST["server"]["mcp_config"]["env"]
    asked = {variable: f"${{user_config.{VARIABLES[variable].name}}}" for variable in env}
    assert asked == env
    assert {VARIABLES[variable].name for variable in env} == set(MANIFEST["user_config"])
    for one in MANIFEST["user_config"].values():
        assert {"type", "title", "description"} <= set(one)
        assert one["required"] is False
    defaults = {v: MANIFEST["user_config"][VARIABLES[v].name]["default"] for v in env}
    assert Settings() == from_environment(defaults) == from_environment(env)


def test_it_starts_by_an_entry_that_exists() -> None:
    """From the bundle's folder, wherever that is; what building needs is not left out."""
    server = MANIFEST["server"]
    assert (ROOT / server["entry_point"]).is_file()
    config = server["mcp_config"]
    assert ["run", "--quiet", "--directory", "${__dirname}"] == config["args"][:4]
    assert ("uv", "uv") == (server["type"], config["command"])
    ignored = (ROOT / ".mcpbignore").read_text("utf-8").splitlines()
    needed = ("mmflow_mcp/", "pyproject.toml", "README.md", "LICENSE", "manifest.json")
    assert not set(needed) & set(ignored)


def test_no_address_is_named_that_does_not_exist() -> None:
    """There is no home on the web yet; the registry's name cannot belong to anybody (RFC 2606)."""
    places = ("homepage", "repository", "documentation", "support", "privacy_policies")
    assert not set(places) & set(MANIFEST)
    assert not {"repository", "websiteUrl", "remotes", "icons"} & set(SERVER)
    assert SERVER["name"].startswith("invalid.")


def test_the_registrys_entry_keeps_its_rules() -> None:
    """Those of the schema of 2025-12-11; CI reads the released schema itself where it can."""
    assert SERVER["$schema"].endswith("/schemas/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", SERVER["name"])
    assert 3 <= len(SERVER["name"]) <= 200
    assert 1 <= len(SERVER["description"]) <= 100
    assert 1 <= len(SERVER["title"]) <= 100
    (package,) = SERVER["packages"]
    assert __version__ == SERVER["version"] == package["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert ("pypi", "mmflow-mcp") == (package["registryType"], package["identifier"])
    assert {"type": "stdio"} == package["transport"]
    for variable in package["environmentVariables"]:
        assert VARIABLES[variable["name"]].metadata["description"] == variable["description"]
        assert {"name", "description", "default", "isSecret"} >= set(variable)
        assert isinstance(variable.get("default", ""), str)


def test_the_icon_is_one_that_hosts_take() -> None:
    """A PNG of 512 x 512 inside the bundle, and small."""
    png = (ROOT / MANIFEST["icon"]).read_bytes()
    assert b"\x89PNG\r\n\x1a\n" == png[:8]
    assert (512, 512) == struct.unpack(">II", png[16:24])
    assert len(png) < 20_000
