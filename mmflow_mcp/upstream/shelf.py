"""The last good answers of sources that stand alone, kept where the next run finds them.

One file per call in a folder of the user; every file says which kind of source it came from, and
only live answers are written at all: what was simulated or replayed stays in memory. A folder that
cannot be written is no error: then memory is all there is. Beside an answer stands, for as long
as its call has patience, that the source has refused: a source that counts its calls by the day
is not asked again because a process was started again.
"""

import logging
import os
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pydantic_core

from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import (
    VenueBlocked,
    VenueChanged,
    VenueError,
    VenueHttp,
    VenueRateLimited,
    VenueRejected,
)
from mmflow_mcp.upstream.wire import Call, Wire

log = logging.getLogger("mmflow_mcp")

_Key = tuple[str, bytes | None]


class Refused(VenueError):
    """What the source answered before, remembered instead of asking it again."""

    retryable = False


class Shelf:
    """Last good answers by call. `folder` None: in memory only.

    Methods read and write files, so they belong into a worker thread.
    """

    def __init__(self, folder: Path | None, *, kind: str, clock: Clock) -> None:
        self._folder = folder if kind == "live" else None
        self._kind = kind
        self._clock = clock
        self._wires: dict[_Key, Wire] = {}
        self._refused: dict[_Key, tuple[VenueError, float]] = {}

    def take(self, call: Call) -> Wire | None:
        """The newest good answer that is kept, here or by another process; `read` tells its age."""
        held, found = self._wires.get(call.key), self._load(call)
        if found is None or (held is not None and held.read >= found.read):
            return held
        return found

    def put(self, call: Call, wire: Wire, body: bytes) -> None:
        """Keep a good answer instead of the one before it, and forget a refusal."""
        self._wires[call.key] = wire
        self._refused.pop(call.key, None)
        if self._folder is None:
            return
        age = round((self._clock.monotonic() - wire.read) * 1000)
        record = {
            "readAt": self._clock.now_ms() - age,
            "fetchedAt": wire.fetched_at,
            "body": body.decode("utf-8", "replace"),
        }
        self._write(self._path(call, "json"), call, record)
        with suppress(OSError):
            self._path(call, "refused").unlink(missing_ok=True)

    def refuse(self, call: Call, error: VenueError) -> None:
        """Remember that the source has refused, for the patience of the call.

        Only for what the source itself has answered: a connection that broke may be back at once.
        """
        if not call.patience or not _is_answer(error):
            return
        wait = max(call.patience, getattr(error, "retry_after", None) or 0.0)
        self._refused[call.key] = (error, self._clock.monotonic() + wait)
        if self._folder is not None:
            now = self._clock.now_ms()
            record = {"at": now, "until": now + round(wait * 1000), "reason": error.reason}
            self._write(self._path(call, "refused"), call, record)

    def refusal(self, call: Call) -> VenueError | None:
        """The refusal that is still remembered, also by another process; None: ask."""
        error, until = self._refused.get(call.key, (None, 0.0))
        if error is not None and self._clock.monotonic() < until:
            return error.fresh()
        record = self._read(self._path(call, "refused"), call)
        if record is None or not isinstance(record.get("reason"), str):
            return None
        try:
            fits = record["at"] <= self._clock.now_ms() < record["until"]
        except (KeyError, TypeError):
            return None
        return Refused(record["reason"]) if fits else None

    def _load(self, call: Call) -> Wire | None:
        record = self._read(self._path(call, "json"), call)
        if record is None:
            return None
        try:
            body, read_at, fetched_at = record["body"], record["readAt"], record["fetchedAt"]
            doc = body if call.form == "text" else pydantic_core.from_json(body)
            age = (self._clock.now_ms() - read_at) / 1000
            size = len(body) + 256
        except (KeyError, TypeError, ValueError):
            return None
        if age < 0:
            # Written while the clock was ahead: nobody knows how old it is, so it is not fresh.
            age = call.fresh + 1
        return Wire(doc, fetched_at=fetched_at, read=self._clock.monotonic() - age, size=size)

    def _path(self, call: Call, ending: str) -> Path:
        named = sha256(b"\n".join((call.url.encode(), call.body or b""))).hexdigest()[:24]
        return (self._folder or Path()) / f"{call.host}-{named}.{ending}"

    def _read(self, path: Path, call: Call) -> dict[str, Any] | None:
        """A record of this kind of source and this call; None for anything else."""
        if self._folder is None:
            return None
        try:
            record = pydantic_core.from_json(path.read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(record, dict):
            return None
        ours = (record.get("kind"), record.get("url")) == (self._kind, call.url)
        return record if ours else None

    def _write(self, path: Path, call: Call, record: dict[str, Any]) -> None:
        """Write beside, then replace: whoever reads sees the old file or the new one."""
        content = pydantic_core.to_json({"kind": self._kind, "url": call.url, **record})
        beside: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
            beside = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            beside.replace(path)
        except OSError as error:
            log.info("the last good answer of %s stays in memory: %s", call.host, error)
            if beside is not None:
                with suppress(OSError):
                    beside.unlink(missing_ok=True)


def _is_answer(error: VenueError) -> bool:
    """Whether the source has answered, with a refusal or with something that is no answer."""
    if isinstance(error, VenueHttp) and not isinstance(error, VenueRateLimited):
        return error.http_status < 500
    return isinstance(error, (VenueRateLimited, VenueBlocked, VenueChanged, VenueRejected))
