"""Installs a packed bundle as a desktop host does, and drives it: `smoke_bundle.py FILE.mcpb`.

For CI: the first start downloads what the bundle needs, so no test may do this. Unpacked under a
path with blanks, its variables put in, started from another folder with a bare environment, it is
asked in both protocol eras, the second time as installed. Needs `uv` on the PATH.
"""

import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters

# The machine's way out, where it needs one: a host has it from the system.
WAY_OUT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY")
# What the user filled in; the rest is left as hosts leave it: the literal placeholder.
CHOSEN = {"source": "sim"}


def substituted(value: Any, folder: Path) -> Any:
    """The host's part: `${__dirname}` and the settings that the user filled in."""
    if isinstance(value, dict):
        return {key: substituted(one, folder) for key, one in value.items()}
    if isinstance(value, list):
        return [substituted(one, folder) for one in value]
    text = str(value).replace("${__dirname}", str(folder))
    for name, chosen in CHOSEN.items():
        text = text.replace(f"${{user_config.{name}}}", chosen)
    return text


def started(config: dict[str, Any], home: Path, uv: str) -> StdioServerParameters:
    """The server's command from another folder, with next to nothing in its environment."""
    bare = {"HOME": str(home), "PATH": os.defpath, **config.get("env", {})}
    bare |= {name: os.environ[name] for name in WAY_OUT if name in os.environ}
    return StdioServerParameters(command=uv, args=config["args"], env=bare, cwd=home)


async def drive(server: StdioServerParameters, manifest: dict[str, Any], mode: str) -> str:
    """List and call; what is listed is what the manifest promises. The era that was spoken."""
    async with Client(server, mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert [tool["name"] for tool in manifest["tools"]] == tools, tools
        prompts = [prompt["name"] for prompt in manifest.get("prompts", [])]
        if prompts:
            assert prompts == [prompt.name for prompt in (await client.list_prompts()).prompts]
        answer = await client.call_tool("get_funding", {"coins": "BTC", "venues": "all"})
        assert not answer.is_error, answer.content
        assert answer.structured_content is not None
        assert answer.structured_content["meta"]["source"].startswith("sim:")
        return str(client.protocol_version)


def main(bundle: Path) -> None:
    """The whole of it; raises `AssertionError` where something is not as it should be."""
    uv = shutil.which("uv")
    assert uv is not None, "no uv on the PATH"
    with tempfile.TemporaryDirectory() as place:
        folder, home = Path(place, "Claude Extensions", "mm flow"), Path(place, "home")
        home.mkdir()
        zipfile.ZipFile(bundle).extractall(folder)
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        config = substituted(manifest["server"]["mcp_config"], folder)
        assert "uv" == config["command"]
        entry = ["run", "--quiet", "--directory", str(folder), manifest["server"]["entry_point"]]
        for words, mode in ((config["args"], "auto"), (config["args"], "legacy"), (entry, "auto")):
            at = time.monotonic()
            server = started({**config, "args": words}, home, uv)
            era = anyio.run(drive, server, manifest, mode)
            sys.stdout.write(f"{words[-1]} ({era}): {time.monotonic() - at:.1f} s\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
