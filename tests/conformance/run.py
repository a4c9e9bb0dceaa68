"""The official conformance suite and the Inspector's command line against `mmflow-mcp serve`.

`run.py BIN [--all]`: BIN is the folder of the npm packages' commands; node 22.19 or newer is on the
PATH. The suite runs in both protocol eras against `expected-failures.yml`; the Inspector lists,
calls and reads over stdio and HTTP in both eras: a few of each, with --all every tool and resource.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "expected-failures.yml"
SERVER = [sys.executable, "-m", "mmflow_mcp", "--source", "sim", "--store", "memory"]
# The suite asks more than a stranger's minute allows.
ENVIRONMENT = {**os.environ, "MMFLOW_ANON_PER_MINUTE": "0"}
ERAS = {"2026-07-28": "modern", "2025-11-25": "legacy"}
# Scenarios of which every check must pass, whether the suite counts them in that era or not.
WHOLE = {
    "server-initialize": ["2025-11-25"],
    "server-session-lifecycle": ["2025-11-25"],
    "ping": ["2025-11-25"],
    "resources-subscribe": ["2025-11-25"],
    "resources-unsubscribe": ["2025-11-25"],
    "server-stateless": ["2026-07-28"],
    "caching": ["2026-07-28"],
    "sep-2164-resource-not-found": ["2026-07-28"],
    "http-header-validation": ["2026-07-28"],
    "tools-list": [*ERAS],
    "resources-list": [*ERAS],
    "prompts-list": [*ERAS],
    "completion-complete": [*ERAS],
    "dns-rebinding-protection": [*ERAS],
    "server-sse-multiple-streams": [*ERAS],
}
FINE = ("SUCCESS", "INFO", "SKIPPED")


@contextmanager
def serving() -> Iterator[str]:
    """A server on a free port of loopback, ended with the block; the address of its `/mcp`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [*SERVER, "serve", "--port", str(port)]
    # What it says of the suite's wrong questions is no news here.
    child = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > until or child.poll() is not None:
                    raise
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        child.terminate()
        child.wait(timeout=20)


def excused() -> set[str]:
    """`scenario:check` of every expected failure."""
    lines = (line.strip() for line in EXPECTED.read_text("utf-8").splitlines())
    return {line.removeprefix("- ") for line in lines if line.startswith("- ")}


def conform(tool: Path, address: str, era: str, out: Path) -> list[str]:
    """Run the suite in an era; what is wrong, one line each."""
    words = [str(tool), "server", "--url", address, "--requirements", era]
    words += ["--expected-failures", str(EXPECTED), "-o", str(out)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    wrong = [] if ended.returncode == 0 else [ended.stdout[-3000:] + ended.stderr[-1000:]]
    seen: dict[str, int] = {}
    for file in sorted(out.rglob("checks.json")):
        scenario = re.split(r"-\d{4}-\d\d-\d\dT", file.parent.name.removeprefix("server-"))[0]
        # The suite names its folders after "server-", which some scenarios begin with anyway.
        names = [name for name in (scenario, f"server-{scenario}") if name in WHOLE]
        checks = json.loads(file.read_text("utf-8"))
        for name in names:
            seen[name] = len(checks)
        for check in checks:
            judged = bool(names) or check["id"] == "wire-schema-valid"
            known = any(f"{name}:{check['id']}" in excused() for name in names)
            if judged and not known and check["status"] not in FINE:
                wrong.append(f"{scenario}: {check['id']}: {check.get('errorMessage', '')[:300]}")
    due = [name for name, eras in WHOLE.items() if era in eras]
    wrong += [f"{name} did not run" for name in due if name not in seen]
    passed = sum(seen.values())
    sys.stdout.write(f"conformance {era}: {len(seen)} scenarios whole ({passed} checks), ")
    sys.stdout.write("the rest as expected\n" if not wrong else f"{len(wrong)} wrong\n")
    return wrong


def asked(tool: Path, target: list[str], words: list[str]) -> Any:
    """What the Inspector's command line answers. Raises `AssertionError` for a failure."""
    line = [str(tool), "--cli", *target, *words, "--format", "json", "--connect-timeout", "60000"]
    ended = subprocess.run(
        line, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=300
    )
    told = f"{target} {words}: exit {ended.returncode}: {ended.stdout[-600:]}{ended.stderr[-600:]}"
    assert 0 == ended.returncode, told
    result = json.loads(ended.stdout)["result"]
    assert not result.get("isError"), told
    return result


def inspect(tool: Path, target: list[str], *, lists: bool, every: bool) -> int:
    """List, call and read through one door in one era; how many answers came.

    `lists`: every list, not the tools' alone; `every`: every tool, resource and prompt.
    """

    def ask(method: str, *words: str) -> Any:
        return asked(tool, target, ["--method", method, *words])

    with ThreadPoolExecutor(2) as pool:
        tools = ask("tools/list", "--strict")["tools"]
        listed = ("resources/list", "resources/templates/list", "prompts/list") if lists else ()
        told: dict[str, Any] = {}
        for one in pool.map(ask, listed):
            told |= one
        assert not lists or (told["resources"] and told["resourceTemplates"])
        names, uris = ["get_funding"], ["mmflow://venues"]
        prompts: list[tuple[str, ...]] = []
        if every:
            names = [tool["name"] for tool in tools]
            uris = [*(one["uri"] for one in told["resources"]), "mmflow://venues/okx"]
            prompts = [filled(one) for one in told["prompts"]]
        words = [
            *(("tools/call", "--tool-name", n, "--tool-args-json", example(n)) for n in names),
            *(("resources/read", "--uri", uri) for uri in uris),
            *(("prompts/get", "--prompt-name", *words) for words in prompts),
        ]
        return 1 + len(listed) + len(list(pool.map(lambda one: ask(*one), words)))


def filled(prompt: dict[str, Any]) -> tuple[str, ...]:
    """A prompt's name, and BTC for each argument that it must have."""
    args = [f"{one['name']}=BTC" for one in prompt.get("arguments") or () if one.get("required")]
    return (prompt["name"], *(("--prompt-args", *args) if args else ()))


def example(name: str) -> str:
    """A question of a tool, as its declaration has it."""
    from mmflow_mcp.endpoints.declare import endpoints

    return json.dumps(endpoints()[name].example)


def main(bin_folder: Path, *, every: bool) -> int:
    """Both; 1 when something is wrong."""
    wrong: list[str] = []
    with serving() as address, tempfile.TemporaryDirectory() as out, ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(conform, bin_folder / "conformance", address, era, Path(out, era))
            for era in ERAS
        ]
        wrong += [line for run in runs for line in run.result()]
        doors = {"http": [address, "--transport", "http"], "stdio": SERVER}
        for door, era in [(door, era) for door in doors for era in ERAS.values()]:
            words = [*doors[door], "--protocol-era", era]
            full = every or (door, era) == ("http", "modern")
            try:
                tool = bin_folder / "mcp-inspector"
                count = inspect(tool, words, lists=full, every=every)
                sys.stdout.write(f"inspector {door} {era}: {count} answers\n")
            except AssertionError as error:
                wrong.append(str(error))
    sys.stdout.write("".join(f"WRONG {line}\n" for line in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), every="--all" in sys.argv[2:]))
