"""Where history is kept, from its text: `sqlite:PATH`, `redis://...`, `rediss://...`, `memory`.

The libraries behind a store load when a store of that sort is opened.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.series.store import WEEK_MS, SeriesStore

if TYPE_CHECKING:
    from mmflow_mcp.fleet.lease import Lease

log = logging.getLogger("mmflow_mcp")

FITS = "sqlite:PATH, redis://HOST[:PORT][/DATABASE], rediss://... or memory"
FILE = "history.sqlite"


def place_of(text: str, kind: str, data_folder: Path | None) -> tuple[str, Path | None]:
    """The sort of a store (`sqlite`, `redis`, `memory`), and the path of a file.

    `text` empty: live history lies in one file in the user's data folder; what was simulated or
    replayed, or has no folder, stays in memory. Raises `BadQuestion` saying what fits.
    """
    if not text:
        kept = kind == "live" and data_folder is not None
        return ("sqlite", data_folder / FILE) if kept and data_folder else ("memory", None)
    sort, colon, where = text.partition(":")
    if text == "memory":
        return "memory", None
    if sort in ("redis", "rediss") and colon:
        return "redis", None
    if sort == "sqlite" and where and where != ":memory:":
        try:
            return "sqlite", Path(where).expanduser()
        except RuntimeError:
            raise BadQuestion("store", f"{where!r} is the home of nobody.", fits=FITS) from None
    # An address may hold a password, even one that is misspelt.
    said = "this" if "@" in text or "//" in text else repr(text)
    raise BadQuestion("store", f"{said} is no place for history.", fits=FITS)


def open_store(
    text: str,
    kind: str,
    data_folder: Path | None,
    *,
    clock: Clock,
    retention_ms: int = WEEK_MS,
    report: Callable[[str], None] = log.warning,
    gone: Callable[[], str | None] | None = None,
) -> SeriesStore:
    """The history store that a text names, for answers of one kind: `live`, `sim`, `replay`.

    Nothing is connected or written yet: what cannot be opened is a `StoreError` of the first call,
    `StoreMismatch` when a file holds another kind. Samples wait in memory while a file or server
    is away; `gone` says when a server need not be tried. `report` is told what a person should
    know. Raises `BadQuestion` saying what fits.
    """
    from mmflow_mcp.series.memory import MemoryStore  # noqa: PLC0415 - each sort when it is used

    sort, path = place_of(text, kind, data_folder)
    if sort == "memory":
        return MemoryStore(clock=clock, retention_ms=retention_ms)
    from mmflow_mcp.series.buffered import BufferedStore  # noqa: PLC0415

    behind: SeriesStore
    if path is not None:
        from mmflow_mcp.series.sqlite import SqliteStore  # noqa: PLC0415

        behind = SqliteStore(path, kind=kind, clock=clock, retention_ms=retention_ms, report=report)
    else:
        from mmflow_mcp.fleet.redis import RedisServer  # noqa: PLC0415
        from mmflow_mcp.series.redis import RedisStore  # noqa: PLC0415

        server = RedisServer(text, gone=gone)
        behind = RedisStore(server, kind=kind, clock=clock, retention_ms=retention_ms)
    return BufferedStore(behind, clock=clock, report=report)


def open_lease(
    text: str, kind: str, data_folder: Path | None, name: str, *, lifetime_ms: int
) -> "Lease":
    """The lease that elects one of all processes which write to the same store.

    In Redis it is free within `lifetime_ms` after its holder died, beside a file at once: let that
    and the pause between two `acquire`s together stay below the shortest cadence. Raises
    `BadQuestion` saying what fits.
    """
    from mmflow_mcp.fleet.lease import FileLease, OwnLease, RedisLease  # noqa: PLC0415

    sort, path = place_of(text, kind, data_folder)
    if sort == "memory":
        return OwnLease()
    if path is not None:
        return FileLease(path.with_name(f"{path.name}.{name}"))
    from mmflow_mcp.fleet.redis import RedisServer  # noqa: PLC0415

    return RedisLease(RedisServer(text), f"mmflow:{kind}:lease:{name}", lifetime_ms)
