"""Start-up, memory and size of the installation."""

import importlib.metadata
import time
from collections.abc import Callable
from pathlib import Path

from common import CONSTANT, SERVER, Figure, RawClient, median_ms, memory_mb

RUNS = 7
OURS_AND_THEIRS = (SERVER, CONSTANT)


def first_list(arguments: list[str]) -> tuple[float, float]:
    """Seconds from process start to the first tools/list answer, and MB at that moment."""
    started = time.perf_counter()
    raw = RawClient(arguments)
    raw.open()
    raw.ask("tools/list", {})
    spent = time.perf_counter() - started
    memory = memory_mb(raw.pid)
    raw.close()
    return spent, memory


def installation() -> tuple[int, float]:
    """Packages that `pip install .` brings, ours included, and their MB on disk."""
    wanted, todo = {}, ["mmflow-mcp"]
    while todo:
        name = todo.pop()
        key = name.lower().replace("_", "-")
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if key in wanted:
            continue
        wanted[key] = distribution
        todo += _needs(distribution)
    size = 0
    for distribution in wanted.values():
        for file in distribution.files or ():
            path = Path(str(distribution.locate_file(file)))
            if path.is_file() and path.suffix != ".pyc":
                size += path.stat().st_size
    return len(wanted), size / 1024 / 1024


def _needs(distribution: importlib.metadata.Distribution) -> list[str]:
    from packaging.requirements import Requirement

    needed = []
    for text in distribution.requires or ():
        requirement = Requirement(text)
        extra = "ws" if distribution.name == "httpx2" else ""
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            needed.append(requirement.name)
    return needed


def measure(say: Callable[[str], None]) -> list[Figure]:
    """Alternate ours and theirs, and compare the medians."""
    times: dict[int, list[float]] = {0: [], 1: []}
    memory: list[float] = []
    for run in range(RUNS + 1):
        for i, arguments in enumerate(OURS_AND_THEIRS):
            spent, mb = first_list(arguments)
            if run:
                times[i].append(spent)
                if i == 0:
                    memory.append(mb)
    ours, theirs = median_ms(times[0]), median_ms(times[1])
    packages, megabytes = installation()
    say(f"start-up: ours {ours:.0f} ms, 25 constant tools {theirs:.0f} ms, {RUNS} runs each")
    return [
        Figure("start to first tools/list", ours / theirs, 1.25, "x", "against 25 constant tools"),
        Figure("idle memory before a question", max(memory), 80, "MB", "resident, stdio server"),
        Figure("packages installed", packages, 35, "", "ours and everything it needs"),
        Figure("size of the installation", megabytes, 80, "MB", "on disk, without compiled files"),
    ]
