"""What replicas tell each other of shared feeds: who holds a socket, and what came over it.

    mmflow:KIND:tape1:FEED:lease    text    who holds the socket; expires unless it is renewed
    mmflow:KIND:tape1:FEED:stream   stream  what the holder heard, in order: one field `d`
    mmflow:KIND:tape1:FEED:face     hash    `beat` and `at`: the holder's last word and its time;
                                            `snap`, `list`, `id`: how all stood after entry `id`
    mmflow:KIND:tape1:FEED:needs    zset    replica -> when it last needed the feed
    mmflow:KIND:tape1:FEED:wants    zset    name that is wanted of it -> when

Only who holds the lease can write to a stream: a holder that slept through its own end is told so.
Times are the server's. Nothing lives for ever. Every method raises `StoreError` when the server
does not answer within `PATIENCE_SECONDS`.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from mmflow_mcp.errors import StoreAway, StoreError
from mmflow_mcp.fleet.redis import RedisServer

log = logging.getLogger("mmflow_mcp")

# Replicas whose entries differ in form are of different fleets.
FORM = "tape1"
# A holder that died is followed by another after this at most, and one tick.
LEASE_MS = 3_000
PATIENCE_SECONDS = 1.5
# An end of patience that comes later than this was late itself.
_LATE_SECONDS = 0.2
# A replica that has not said for so long that it needs a feed does not; a name is wanted longer.
NEED_MS = 3_000
WANT_MS = 600_000
# Streams end a while after the last entry.
LINGER_MS = 3_600_000

_TIME = """
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local function text(n) return string.format('%d', n) end
"""
# KEYS: lease, face, needs, wants. ARGV: who asks, life of the lease, ms a need and a want count,
# the beat of a holder, 1 for who yields to others, then the names that are wanted.
_TICK = (
    _TIME
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now - tonumber(ARGV[3])))
local holder = redis.call('GET', KEYS[1])
local mine = redis.call('ZSCORE', KEYS[3], ARGV[1]) and 1 or 0
local yields = ARGV[6] == '1' and redis.call('ZCARD', KEYS[3]) > mine
if yields and holder == ARGV[1] then
  redis.call('DEL', KEYS[1])
  holder = false
end
local held = holder == ARGV[1] or (not holder and not yields)
if held then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  redis.call('ZREM', KEYS[3], ARGV[1])
  if ARGV[5] ~= '' then
    redis.call('HSET', KEYS[2], 'beat', ARGV[5], 'at', text(now))
    if redis.call('PTTL', KEYS[2]) < 0 then redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
  end
else
  redis.call('ZADD', KEYS[3], text(now), ARGV[1])
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
for i = 7, #ARGV do redis.call('ZADD', KEYS[4], text(now), ARGV[i]) end
redis.call('PEXPIRE', KEYS[4], ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', text(now - tonumber(ARGV[4])))
local wants = {}
if held then wants = redis.call('ZRANGE', KEYS[4], 0, -1) end
local face = redis.call('HMGET', KEYS[2], 'beat', 'at')
local age = -1
if face[2] then age = now - tonumber(face[2]) end
return {held and 1 or 0, redis.call('ZCARD', KEYS[3]), wants, face[1] or '', age}
"""
)
# KEYS: lease, stream, face. ARGV: who writes, life of the lease, ms and entries that are kept, life
# of the stream, the entry, then fields of the face and their values.
_WRITE = (
    _TIME
    + """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local oldest = text(now - tonumber(ARGV[3]))
local id = redis.call('XADD', KEYS[2], 'MINID', '~', oldest, '*', 'd', ARGV[6])
redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', ARGV[4])
if #ARGV > 6 then
  redis.call('HSET', KEYS[3], 'id', id)
  for i = 7, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('PEXPIRE', KEYS[3], ARGV[5])
return id
"""
)
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"

Entry = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a replica says of a feed it needs: its `beat` if it holds the socket, else empty.

    `yields`: it does not want to hold it while others need it.
    """

    feed: str
    beat: bytes = b""
    wants: Sequence[str] = ()
    yields: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What it learns. `held`: it holds the socket now. `others`: how many others need the feed.

    `wants`: for the holder, what anybody wants of it. `beat`: the holder's last one, empty without
    any, and how old it is, ms.
    """

    held: bool
    others: int
    wants: tuple[str, ...]
    beat: bytes
    age_ms: int


class Channel:
    """One replica's access to the shared feeds of one kind of source; `me` names the replica."""

    def __init__(self, server: RedisServer, kind: str, me: str) -> None:
        self.name = server.name
        self._server = server
        self._under = f"mmflow:{kind}:{FORM}:"
        self._me = me

    async def tick(self, asks: Sequence[Ask]) -> list[Told]:
        """Say what is needed and try to hold it, all feeds at once; without any, just look."""

        async def act(client: Any) -> Any:
            pipe = client.pipeline(transaction=False)
            pipe.ping()
            for one in asks:
                keys = [self._key(one.feed, part) for part in ("lease", "face", "needs", "wants")]
                yields = "1" if one.yields else ""
                args = [self._me, LEASE_MS, NEED_MS, WANT_MS, one.beat, yields, *one.wants]
                pipe.eval(_TICK, len(keys), *keys, *args)
            return await pipe.execute()

        _, *found = await self._reached(act)
        return [
            Told(bool(held), others, tuple(name.decode() for name in wants), beat, age)
            for held, others, wants, beat, age in found
        ]

    async def write(
        self,
        feed: str,
        entry: bytes,
        *,
        keep_ms: int,
        most: int,
        face: Mapping[str, bytes] | None = None,
    ) -> bytes | None:
        """Add an entry, and tell in `face` how all stands after it; its id, None without the lease.

        Entries older than `keep_ms`, or more than `most`, go.
        """
        keys = [self._key(feed, part) for part in ("lease", "stream", "face")]
        fields = [part for pair in (face or {}).items() for part in pair]
        args = [self._me, LEASE_MS, keep_ms, most, keep_ms + LINGER_MS, entry, *fields]
        found: bytes | None = await self._reached(
            lambda client: client.eval(_WRITE, len(keys), *keys, *args)
        )
        return found

    async def face(self, feed: str) -> tuple[bytes, bytes, bytes] | None:
        """How all stood (`snap`, `list`) after which entry; None where no holder has told yet."""
        key = self._key(feed, "face")
        snap, listed, entry_id = await self._reached(
            lambda client: client.hmget(key, "snap", "list", "id")
        )
        return None if snap is None or listed is None else (snap, listed, entry_id)

    async def page(self, feed: str, after: bytes, until: bytes, count: int) -> list[Entry]:
        """Entries after an id (empty: from the oldest) up to another, inclusive."""
        key, start = self._key(feed, "stream"), b"(" + after if after else b"-"
        found = await self._reached(lambda client: client.xrange(key, start, until, count))
        return [(entry_id, fields[b"d"]) for entry_id, fields in found]

    async def read(
        self, after: Mapping[str, bytes], seconds: float, count: int = 100
    ) -> dict[str, list[Entry]]:
        """Entries of feeds after these ids, as soon as there are any; empty after `seconds`."""
        keys: dict[Any, Any] = {self._key(feed, "stream"): last for feed, last in after.items()}
        names = {self._key(feed, "stream").encode(): feed for feed in after}
        block = round(seconds * 1000)
        found = await self._reached(
            lambda client: client.xread(keys, count=count, block=block), seconds
        )
        return {
            names[key]: [(entry_id, fields[b"d"]) for entry_id, fields in entries]
            for key, entries in pairs(found)
        }

    async def release(self, feed: str) -> None:
        """Let another hold the socket at once."""
        key = self._key(feed, "lease")
        await self._reached(lambda client: client.eval(_RELEASE, 1, key, self._me))

    def _key(self, feed: str, part: str) -> str:
        return f"{self._under}{feed}:{part}"

    async def _reached(self, act: Callable[[Any], Awaitable[Any]], longer: float = 0.0) -> Any:
        """Do something with the server; whatever it is may be done twice.

        It is, where it was this process that stood still: that is no server that went away.
        """
        patience = PATIENCE_SECONDS + longer
        began = anyio.current_time()
        try:
            return await self._once(act, patience)
        except StoreAway:
            if anyio.current_time() - began < patience + _LATE_SECONDS:
                raise
            return await self._once(act, patience)

    async def _once(self, act: Callable[[Any], Awaitable[Any]], patience: float) -> Any:
        try:
            with self._server.reached() as client, anyio.fail_after(patience):
                return await act(client)
        except StoreError:
            raise
        except Exception as error:
            # A fault inside the client library must not end the app.
            log.exception("the client library of %s failed", self.name)
            raise StoreAway(f"{self.name} failed: {type(error).__name__}") from error


def pairs(found: Any) -> Any:
    """The answer of XREAD in either form of the protocol."""
    if isinstance(found, dict):
        return ((key, [e for part in parts for e in part]) for key, parts in found.items())
    return found or ()
