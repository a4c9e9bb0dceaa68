"""A lease: of several processes that could do something, one does it, until it dies.

On one machine it is a lock that the operating system holds on a file, and gives up at the very
moment its holder dies; no clock is involved, and no space on the disk. On many machines it is a key
in Redis that expires, by the clock of the server, unless its holder renews it.

Whoever holds a lease may still be the second one for a moment (a process that was asleep does not
know that its time is over), so what is done under it must do no harm when it is done twice.
"""

import os
import secrets
from pathlib import Path
from typing import Protocol

import anyio.to_thread

from mmflow_mcp.errors import StoreUnwritable
from mmflow_mcp.fleet.locks import lock_now
from mmflow_mcp.fleet.redis import RedisServer

# KEYS: the lease. ARGV: who asks, milliseconds to live. Taken when it is free or ours already: an
# answer that was lost on the way does not leave us locked out by ourselves.
TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class Lease(Protocol):
    """One of several asks with `acquire` until it is the one, then renews thrice a lifetime.

    Every method may raise `StoreError` when nobody can tell who holds the lease.
    """

    async def acquire(self) -> bool:
        """Take the lease, or keep it; False while another holds it."""
        ...

    async def renew(self) -> bool:
        """Hold on for another lifetime; False when it is not ours any more."""
        ...

    async def release(self) -> None:
        """Let another have it at once. Without holding it, nothing."""
        ...


class OwnLease:
    """The lease of what is not shared: always ours."""

    async def acquire(self) -> bool:
        """Ours."""
        return True

    async def renew(self) -> bool:
        """Ours."""
        return True

    async def release(self) -> None:
        """Nobody else asks."""


class FileLease:
    """A lock on a file, which stays there empty when nobody holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    async def acquire(self) -> bool:
        """Take the lock; see `Lease`. Raises `StoreUnwritable` where the file cannot be made."""
        if self._handle is None:
            self._handle = await anyio.to_thread.run_sync(self._lock)
        return self._handle is not None

    async def renew(self) -> bool:
        """Whether we hold the lock."""
        return self._handle is not None

    async def release(self) -> None:
        """Give up the lock."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def _lock(self) -> int | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnwritable(f"{self._path} cannot be made: {error.strerror}") from error
        try:
            lock_now(handle)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError as error:
            os.close(handle)
            raise StoreUnwritable(f"{self._path} cannot be locked: {error.strerror}") from error
        return handle


class RedisLease:
    """A key that expires after `lifetime_ms` unless it is renewed. The connection is its own."""

    def __init__(self, server: RedisServer, name: str, lifetime_ms: int) -> None:
        self._server = server
        self._name = name
        self._lifetime_ms = lifetime_ms
        self._token = secrets.token_hex(16)

    async def acquire(self) -> bool:
        """Take the key; see `Lease`."""
        with self._server.reached() as client:
            taken = await client.eval(TAKE, 1, self._name, self._token, self._lifetime_ms)
        return bool(taken)

    async def renew(self) -> bool:
        """Put off the end of the key; see `Lease`."""
        with self._server.reached() as client:
            kept = await client.eval(RENEW, 1, self._name, self._token, self._lifetime_ms)
        return bool(kept)

    async def release(self) -> None:
        """Remove the key if it is ours, and close the connection."""
        try:
            with self._server.reached() as client:
                await client.eval(RELEASE, 1, self._name, self._token)
        finally:
            await self._server.close()
