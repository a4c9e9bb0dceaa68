"""Notices that reach every replica: a resource that has changed is told on all buses.

    mmflow:KIND:notices    stream    `d`: who tells, then the URIs; the last thousand, for an hour

Each replica passes on what it was told itself, never what it heard from another, so nothing goes
round. While the server is away notices wait, each URI once.
"""

import logging
from collections.abc import Callable
from typing import Any

import anyio
from pydantic_core import from_json, to_json

from mmflow_mcp.errors import StoreError
from mmflow_mcp.fleet.channel import PATIENCE_SECONDS, pairs
from mmflow_mcp.fleet.redis import RedisServer

log = logging.getLogger("mmflow_mcp")

MOST = 1_000
KEPT_MS = 3_600_000
# What comes within this goes together.
GATHER_SECONDS = 0.05
RETRY_SECONDS = 1.0
READ_SECONDS = 2.0


class FleetNotices:
    """Tells and hears. `me` names the replica, `hear` is called with every URI of the others."""

    def __init__(
        self, server: RedisServer, kind: str, me: str, hear: Callable[[str], object]
    ) -> None:
        self._server = server
        self._key = f"mmflow:{kind}:notices"
        self._me = me
        self._hear = hear
        self._waiting: dict[str, None] = {}
        self._turn = anyio.Event()
        self._last: bytes | None = None

    def tell(self, uri: str) -> None:
        """Let the others know; never waits."""
        if len(self._waiting) < MOST:
            self._waiting[uri] = None
        self._turn.set()

    async def run(self) -> None:
        """Tell and hear until this is cancelled; a server that is away is tried again."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._again, self._send)
            tasks.start_soon(self._again, self._receive)

    async def _again(self, part: Callable[[], Any]) -> None:
        away = False
        while True:
            try:
                await part()
                away = False
                continue
            except StoreError as error:
                if not away:
                    log.info("notices do not reach the other replicas: %s", error)
            except Exception:
                # A fault inside the client library must not end the app.
                if not away:
                    log.exception("the client library of %s failed", self._server.name)
            away = True
            await anyio.sleep(RETRY_SECONDS)

    async def _send(self) -> None:
        if not self._waiting:
            self._turn = anyio.Event()
            await self._turn.wait()
        await anyio.sleep(GATHER_SECONDS)
        told, self._waiting = tuple(self._waiting), {}
        try:
            with self._server.reached() as client, anyio.fail_after(PATIENCE_SECONDS):
                pipe = client.pipeline(transaction=False)
                entry = {"d": to_json([self._me, *told])}
                pipe.xadd(self._key, entry, maxlen=MOST, approximate=True)
                pipe.pexpire(self._key, KEPT_MS)
                await pipe.execute()
        except StoreError:
            self._waiting = dict.fromkeys((*told, *self._waiting))
            raise

    async def _receive(self) -> None:
        with self._server.reached() as client, anyio.fail_after(PATIENCE_SECONDS + READ_SECONDS):
            if self._last is None:
                newest = await client.xrevrange(self._key, count=1)
                self._last = newest[0][0] if newest else b"0-0"
            after = {self._key: self._last}
            found = await client.xread(after, count=100, block=round(READ_SECONDS * 1000))
        for _, entries in pairs(found):
            for entry_id, fields in entries:
                self._last = entry_id
                self._take(fields[b"d"])

    def _take(self, entry: bytes) -> None:
        try:
            who, *uris = map(str, from_json(entry))
        except (ValueError, TypeError):
            log.warning("a notice of another replica is unreadable")
            return
        if who != self._me:
            for uri in uris:
                self._hear(uri)
