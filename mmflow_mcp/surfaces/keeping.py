"""`mmflow-mcp history`: what is stored, out of the store as CSV or JSON lines, and deletion.

`mmflow-mcp record`: samples every metric until it is stopped.
"""

import asyncio
import csv
import fnmatch
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import anyio

from mmflow_mcp.app import App, running
from mmflow_mcp.core.archive import SETTLED, evened
from mmflow_mcp.errors import BadQuestion, MmflowError
from mmflow_mcp.series.store import Gap, Point, SeriesKey, SeriesStore, Stored, gaps
from mmflow_mcp.settings import Settings
from mmflow_mcp.surfaces import logs
from mmflow_mcp.surfaces.tables import table

COLUMNS = ("metric", "venue", "coin", "kind", "t", "time", "v", "extra")


ACTIONS = ("list", "export", "delete")


def run_history(settings: Settings, words: list[str], *, file: str, form: str) -> int:
    """List, export or delete what fits; 0, or 1 when the store could not do it.

    `words`: one of `ACTIONS` (else list), then patterns.
    """
    named = bool(words) and words[0] in ACTIONS
    action, patterns = (words[0], words[1:]) if named else ("list", words)

    async def run() -> int:
        async with running(settings) as app:
            try:
                store = _store(app)
                found = [one for one in await store.series() if _fits(one.key, patterns)]
                if action == "list":
                    await _list(store, found)
                elif action == "export":
                    await _export(store, found, file, form)
                else:
                    await _delete(store, found, patterns)
            except MmflowError as error:
                sys.stderr.write(f"mmflow-mcp: {error}\n")
                return 2 if isinstance(error, BadQuestion) else 1
        return 0

    return anyio.run(run)


def _store(app: App) -> SeriesStore:
    store = app.core().archive.store
    if store is None:
        raise BadQuestion("store", "history is off.", fits="--store sqlite:PATH or redis://HOST")
    return store


def _fits(key: SeriesKey, patterns: list[str]) -> bool:
    """Whether each pattern fits one part of a key: its metric, venue, coin or kind."""
    parts = [part.casefold() for part in (key.metric, key.venue, key.coin, key.kind)]
    parts.append(key.metric.rpartition(":")[2].casefold())
    return all(any(fnmatch.fnmatchcase(p, one.casefold()) for p in parts) for one in patterns)


def _holes(one: Stored, points: list[Point]) -> list[Gap]:
    """The gaps of a series; a venue's record in steps of several lengths by its coarsest."""
    if one.key.kind != SETTLED:
        return gaps(points, one.cadence_ms)
    even, spacing = evened(points)
    cadence = spacing if len(even) < len(points) else one.cadence_ms
    return gaps(even, cadence, settled=True)


async def _list(store: SeriesStore, found: list[Stored]) -> None:
    rows: list[list[object]] = []
    for one in found:
        points = await store.read(one.key)
        holes = _holes(one, points)
        lacking = sum(gap.before - gap.after for gap in holes) / 3_600_000
        rows.append(
            [
                one.key.metric,
                one.key.venue,
                one.key.coin,
                one.key.kind,
                one.count,
                _when(one.first),
                _when(one.last),
                len(holes),
                round(lacking, 1),
                one.size,
            ]
        )
    names = ["metric", "venue", "coin", "kind", "points", "first", "last", "gaps", "hours", "bytes"]
    sys.stdout.write(table(names, rows) + "\n")
    total = sum(one.size for one in found)
    points_in_all = sum(one.count for one in found)
    sys.stdout.write(
        f"\n{len(found)} series, {points_in_all:,} points, {total:,} bytes in {store.name}\n"
    )


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _opened(file: str) -> AbstractContextManager[TextIO]:
    if file in ("", "-"):
        return nullcontext(sys.stdout)
    return Path(file).open("w", encoding="utf-8", newline="")


async def _points(
    store: SeriesStore, found: list[Stored]
) -> AsyncIterator[tuple[SeriesKey, Point]]:
    for one in found:
        for point in await store.read(one.key):
            yield one.key, point


async def _export(store: SeriesStore, found: list[Stored], file: str, form: str) -> None:
    with _opened(file) as out:
        write = csv.writer(out).writerow
        if form == "csv":
            write(COLUMNS)
        async for key, point in _points(store, found):
            row = [key.metric, key.venue, key.coin, key.kind, point.t, _iso(point.t), point.v]
            extra = dict(point.extra) if point.extra else None
            if form == "csv":
                write([*row, json.dumps(extra) if extra else ""])
            else:
                named = dict(zip(COLUMNS, [*row, extra], strict=True))
                line = {name: value for name, value in named.items() if value is not None}
                out.write(json.dumps(line, ensure_ascii=False) + "\n")


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


async def _delete(store: SeriesStore, found: list[Stored], patterns: list[str]) -> None:
    if not patterns:
        fits = "metric, venue, coin or kind, such as funding binance; '*' for everything"
        raise BadQuestion("history delete", "say what to delete.", fits=fits)
    gone = 0
    for one in found:
        gone += await store.delete(one.key)
    sys.stdout.write(f"{gone:,} points of {len(found)} series deleted\n")


async def stopped() -> None:
    """Wait until the process is told to stop: SIGINT, SIGTERM or what Windows sends instead.

    Loops take signal handlers of their own on Unix alone, so plain ones wake this one.
    """
    loop, told = asyncio.get_running_loop(), anyio.Event()

    def handle(*_: object) -> None:
        loop.call_soon_threadsafe(told.set)

    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    kinds = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = [(kind, signal.signal(kind, handle)) for kind in kinds]
    try:
        await told.wait()
    finally:
        for kind, handler in before:
            signal.signal(kind, handler)


def run_record(settings: Settings) -> int:
    """Record until stopped by SIGINT or SIGTERM; says on stderr what it does."""
    logs.set_up(settings)

    async def run() -> int:
        async with running(settings) as app:
            recorder = app.record("full")
            if recorder is None:
                why = "history is off" if settings.store == "off" else "nothing moves on here"
                sys.stderr.write(f"mmflow-mcp: nothing is recorded: {why}\n")
                return 2
            store = _store(app)
            names = ", ".join(s.name for s in recorder.samplings)
            sys.stderr.write(
                f"mmflow-mcp: recording {names} ({recorder.health.level}) into {store.name}\n"
            )
            sys.stderr.flush()
            await stopped()
            health = recorder.health
            sys.stderr.write(f"mmflow-mcp: {health.stored:,} points recorded\n")
        return 0

    return anyio.run(run)
