"""The keys of a fleet, in its Redis or Valkey server; every replica reads the same.

mmflow:keys            hash    id -> what is stored of the key, JSON
mmflow:keys:revoked    hash    id -> when it was revoked, ms
mmflow:keys:used       hash    id -> when it was used last, ms
"""

import json
from typing import Any

from mmflow_mcp.access.keys import Key
from mmflow_mcp.errors import StoreMismatch, StoreUnwritable
from mmflow_mcp.fleet.redis import RedisServer

KEYS = "mmflow:keys"
REVOKED = "mmflow:keys:revoked"
USED = "mmflow:keys:used"
# KEYS: used. ARGV: id, time. Two replicas may note the same key in either order.
NOTE = """
local known = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if known < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
"""


class RedisKeys:
    """Keeps keys in a server; see `KeyStore`."""

    def __init__(self, server: RedisServer) -> None:
        self.name = server.name
        self._server = server

    async def keys(self) -> list[Key]:
        """Every key; see `KeyStore`."""
        with self._server.reached() as client:
            pipe = client.pipeline(transaction=True)
            for name in (KEYS, REVOKED, USED):
                pipe.hgetall(name)
            stored, revoked, used = await pipe.execute()
        found = [_key_of(i, text, used.get(i), revoked.get(i)) for i, text in stored.items()]
        return sorted(found, key=lambda key: (key.created, key.id))

    async def add(self, key: Key) -> None:
        """Keep a new key; see `KeyStore`."""
        stored = {
            "digest": key.digest.hex(),
            "name": key.name,
            "created": key.created,
            "perMinute": key.per_minute,
        }
        with self._server.reached() as client:
            if not await client.hsetnx(KEYS, key.id, json.dumps(stored)):
                raise StoreUnwritable(f"{self.name} has a key {key.id} already")

    async def revoke(self, key_id: str, at_ms: int) -> bool:
        """Revoke a key; see `KeyStore`."""
        with self._server.reached() as client:
            if not await client.hexists(KEYS, key_id):
                return False
            await client.hsetnx(REVOKED, key_id, at_ms)
        return True

    async def used(self, key_id: str, at_ms: int) -> None:
        """Note when a key was used; see `KeyStore`."""
        with self._server.reached() as client:
            await client.eval(NOTE, 1, USED, key_id, at_ms)

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()


def _key_of(key_id: bytes, text: bytes, used: bytes | None, revoked: bytes | None) -> Key:
    try:
        stored: dict[str, Any] = json.loads(text)
        return Key(
            key_id.decode(),
            bytes.fromhex(stored["digest"]),
            stored["name"],
            stored["created"],
            stored["perMinute"],
            None if used is None else int(used),
            None if revoked is None else int(revoked),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreMismatch("what lies under mmflow:keys is not ours") from error
