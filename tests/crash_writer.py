"""Processes that are to be killed: they write rounds of samples and say which were acknowledged.

`python crash_writer.py PATH SERIES`, and then a line FIRST for each: a forked process tells its id
and writes round FIRST, FIRST + 1, ... until it is killed, which is told as `dead`.
"""

import os
import sys
from pathlib import Path

import anyio

from mmflow_mcp.clock import FixedClock
from mmflow_mcp.series.sqlite import SqliteStore
from mmflow_mcp.series.store import WEEK_MS, Batch, Point, SeriesKey

NOW = 1_789_434_000_000
STEP = 600_000
YEARS = 500 * WEEK_MS


def store_at(path: Path) -> SqliteStore:
    """The store that is written and, after the crash, read."""
    return SqliteStore(path, kind="live", clock=FixedClock(NOW + YEARS), retention_ms=2 * YEARS)


def keys(series: int) -> list[SeriesKey]:
    """The series of every round."""
    return [SeriesKey("oi", "hl", f"C{i}", "sampled") for i in range(series)]


async def write(path: Path, series: int, first: int) -> None:
    """Round after round, each one transaction, until the process dies."""
    store = store_at(path)
    n = first
    while True:
        point = Point(NOW + n * STEP, float(n), {"round": n // 10})
        batches = [Batch(key, STEP, [point]) for key in keys(series)]
        written = await store.write(batches, backfill=True)
        assert series == written.stored
        say(n)
        n += 1


def say(word: object) -> None:
    """One line to whoever started us."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if not child:
            say(os.getpid())
            anyio.run(write, Path(sys.argv[1]), int(sys.argv[2]), int(line))
        os.waitpid(child, 0)
        say("dead")
