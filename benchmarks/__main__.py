"""`python benchmarks [PART...]`: measure, print the table, exit 1 when a bound does not hold.

Parts: startup, warm, cold, computing, series, tape, rest, mcp_http, load, streams, fleet.
Every figure is a ratio or a bound within this one run.
"""

import importlib
import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

PARTS = (
    "startup",
    "warm",
    "cold",
    "computing",
    "series",
    "tape",
    "rest",
    "mcp_http",
    "load",
    "streams",
    "fleet",
)


def main(parts: list[str]) -> int:
    """Run the parts and print their figures."""
    figures = []
    for name in parts or PARTS:
        module = importlib.import_module(name)
        figures += module.measure(lambda text: sys.stderr.write(text + "\n"))
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores\n")
    print("| measured | figure | bound | holds | meaning |")
    print("| --- | ---: | ---: | --- | --- |")
    for f in figures:
        mark = "yes" if f.holds else "NO"
        value, bound = f"{f.value:.3g} {f.unit}".strip(), f"{f.bound:.3g} {f.unit}".strip()
        print(f"| {f.name} | {value} | {bound} | {mark} | {f.meaning} |")
    return 0 if all(f.holds for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
