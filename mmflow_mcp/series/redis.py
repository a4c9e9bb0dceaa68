"""The history store of a team: a Redis or Valkey server, shared by as many processes as like.

Everything lies under `mmflow:KIND:`, so sources of different kinds cannot mix:

    series                    hash    name of the series -> its cadence, ms
    newest                    zset    name of the series -> its newest cell, minutes
    days:NAME                 zset    the days that have points
    points:NAME:DAY           hash    minute of the day -> value and digest of its extra
    extras:NAME:DAY           hash    digest -> extra, JSON

A day is a day since 1970, UTC, and expires when it is past the retention.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

from mmflow_mcp.clock import DAY_MS, Clock
from mmflow_mcp.fleet.redis import RedisServer
from mmflow_mcp.series.extras import from_text, texts_of
from mmflow_mcp.series.redis_scripts import COUNT, DROP, NO_EXTRA, POINT, PUT, READ
from mmflow_mcp.series.store import (
    FOREVER,
    MINUTE_MS,
    WEEK_MS,
    Admitted,
    Batch,
    Point,
    SeriesKey,
    Stored,
    Written,
    admit,
)

# Commands sent at once: the loop and the server have other things to do in between.
AT_ONCE = 200
BYTES_A_POINT = 22


class RedisStore:
    """Keeps series in a server, days of points as hashes; scripts in `redis_scripts`.

    While the server is away every call raises `StoreAway` (`BufferedStore` keeps what a sampler
    writes meanwhile).
    """

    def __init__(
        self, server: RedisServer, *, kind: str, clock: Clock, retention_ms: int = WEEK_MS
    ) -> None:
        self.name = server.name
        self._server = server
        self._under = f"mmflow:{kind}:"
        self._clock = clock
        self._retention_ms = retention_ms

    async def write(self, batches: Sequence[Batch], *, backfill: bool = False) -> Written:
        """Store points; see `SeriesStore`."""
        now = self._clock.now_ms()
        with self._server.reached() as client:
            newest = {} if backfill or not batches else await self._newest(client, batches)
            all_admitted = []
            for batch in batches:
                admitted = admit(
                    batch,
                    newest=newest.get(batch.key),
                    now_ms=now,
                    retention_ms=self._retention_ms,
                    backfill=backfill,
                )
                all_admitted.append(admitted)
                if admitted.points:
                    newest[batch.key] = max(newest.get(batch.key, 0), admitted.points[-1].t)
            taken = [(b, a) for b, a in zip(batches, all_admitted, strict=True) if a.points]
            if taken:
                await self._announce(client, taken)
                await _run(client, PUT, self._puts(taken, now))
        return Written.of(all_admitted)

    async def _newest(self, client: Any, batches: Sequence[Batch]) -> dict[SeriesKey, int]:
        names = [batch.key.text for batch in batches]
        scores = await client.zmscore(self._under + "newest", names)
        return {
            batch.key: int(score) * MINUTE_MS
            for batch, score in zip(batches, scores, strict=True)
            if score is not None
        }

    async def _announce(self, client: Any, taken: Sequence[tuple[Batch, Admitted]]) -> None:
        """Name the series and their newest cells, before their points: a name alone is harmless."""
        cadences = {batch.key.text: batch.cadence_ms for batch, _ in taken}
        newest: dict[str, int] = {}
        for batch, admitted in taken:
            minute = admitted.points[-1].t // MINUTE_MS
            newest[batch.key.text] = max(minute, newest.get(batch.key.text, 0))
        pipe = client.pipeline(transaction=False)
        pipe.hset(self._under + "series", mapping=cadences)
        pipe.zadd(self._under + "newest", newest, gt=True)
        await pipe.execute()

    def _puts(
        self, taken: Sequence[tuple[Batch, Admitted]], now: int
    ) -> Iterator[tuple[list[str], list[Any]]]:
        """Keys and arguments of the script that stores a day, for every day of every series."""
        for batch, admitted in taken:
            texts = texts_of(admitted.points)
            digests = {name: _digest(text) for name, text in texts.items()}
            lines = {digests[name].hex(): text for name, text in texts.items() if text}
            for day, points in groupby(admitted.points, lambda p: p.t // DAY_MS):
                start = day * DAY_MS
                used = list(points)
                blob = b"".join(
                    POINT.pack((t - start) // MINUTE_MS, v, digests[id(extra)])
                    for t, v, extra in used
                )
                extras = lines
                if len(lines) > 1:
                    names = {digests[id(p.extra)].hex() for p in used}
                    extras = {name: text for name, text in lines.items() if name in names}
                # The day is over a day after it began; what names it may stay a little longer.
                lives = start + DAY_MS + self._retention_ms - now
                days_live = self._retention_ms + 2 * DAY_MS
                pairs = [part for pair in extras.items() for part in pair]
                yield self._keys_of(batch.key, day), [day, lives, days_live, blob, *pairs]

    async def read(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> list[Point]:
        """The points of a stretch, ascending; see `SeriesStore`."""
        now = self._clock.now_ms()
        since = max(since_ms, now - self._retention_ms)
        # Nothing is ever stored that lies ahead of the clock; of another clock, by a day at most.
        days = range(since // DAY_MS, min(until_ms, now + DAY_MS) // DAY_MS + 1)
        if not days:
            return []
        keys = [name for day in days for name in self._keys_of(key, day)[:2]]
        with self._server.reached() as client:
            found = await client.register_script(READ)(keys=keys)
        points: list[Point] = []
        for day, blob, extras in zip(days, found[::2], found[1::2], strict=True):
            points += _points_of(day, blob, _extras_of(extras))
        return points[
            bisect_left(points, since, key=attrgetter("t")) : bisect_right(
                points, until_ms, key=attrgetter("t")
            )
        ]

    async def series(self) -> list[Stored]:
        """Everything that is stored; see `SeriesStore`. `size` is an estimate."""
        earliest = self._clock.now_ms() - self._retention_ms
        with self._server.reached() as client:
            cadences = await client.hgetall(self._under + "series")
            keys = {SeriesKey.read(name.decode()): int(ms) for name, ms in cadences.items()}
            days = await self._days(client, keys)
            asked = [
                ([self._keys_of(key, day)[0] for day in days[key]], [_minute(earliest), *days[key]])
                for key in keys
            ]
            counts = await _run(client, COUNT, asked)
        return sorted(
            Stored(key, cadence, first * MINUTE_MS, last * MINUTE_MS, n, n * BYTES_A_POINT)
            for (key, cadence), found in zip(keys.items(), counts, strict=True)
            if found
            for first, last, n in [found]
        )

    async def delete(self, key: SeriesKey, since_ms: int = 0, until_ms: int = FOREVER) -> int:
        """Remove points; see `SeriesStore`."""
        with self._server.reached() as client:
            days = (await self._days(client, [key]))[key]
            return await self._drop(client, key, days, since_ms, until_ms)

    async def prune(self, now_ms: int) -> int:
        """Remove what is past the retention; see `SeriesStore`. The server does so by itself."""
        last = now_ms - self._retention_ms - 1
        gone = 0
        with self._server.reached() as client:
            names = await client.hkeys(self._under + "series")
            days = await self._days(client, [SeriesKey.read(name.decode()) for name in names])
            for key, held in days.items():
                if not held or held[0] * DAY_MS <= last:
                    gone += await self._drop(client, key, held, 0, last)
        return gone

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _days(self, client: Any, keys: Iterable[SeriesKey]) -> dict[SeriesKey, list[int]]:
        """The days of series that have points, ascending; those that expired are still named."""
        listed = list(keys)
        pipe = client.pipeline(transaction=False)
        for key in listed:
            pipe.zrange(f"{self._under}days:{key.text}", 0, -1)
        found = await pipe.execute() if listed else []
        return {key: [int(d) for d in days] for key, days in zip(listed, found, strict=True)}

    async def _drop(
        self, client: Any, key: SeriesKey, days: list[int], since_ms: int, until_ms: int
    ) -> int:
        """Remove the points of a stretch, and the names of a series that has none any more."""
        first, last = _minute(since_ms), until_ms // MINUTE_MS
        within = [day for day in days if since_ms // DAY_MS <= day <= until_ms // DAY_MS]
        dropped = [(self._keys_of(key, day), [day, first, last]) for day in within]
        gone: int = sum(await _run(client, DROP, dropped))
        left = (await self._days(client, [key]))[key]
        keys = [self._keys_of(key, day)[0] for day in left]
        (count,) = await _run(client, COUNT, [(keys, [0, *left])])
        if count:
            await client.zadd(self._under + "newest", {key.text: count[1]})
        else:
            pipe = client.pipeline(transaction=False)
            pipe.hdel(self._under + "series", key.text)
            pipe.zrem(self._under + "newest", key.text)
            pipe.delete(f"{self._under}days:{key.text}")
            await pipe.execute()
        return gone

    def _keys_of(self, key: SeriesKey, day: int) -> list[str]:
        name = key.text
        return [
            f"{self._under}points:{name}:{day}",
            f"{self._under}extras:{name}:{day}",
            f"{self._under}days:{name}",
        ]


async def _run(
    client: Any, script: str, calls: Iterable[tuple[Sequence[str], Sequence[Any]]]
) -> list[Any]:
    """Run a script for each pair of keys and arguments, `AT_ONCE` of them in one round trip."""
    registered = client.register_script(script)
    answers: list[Any] = []
    waiting = iter(calls)
    while part := list(islice(waiting, AT_ONCE)):
        pipe = client.pipeline(transaction=False)
        for keys, arguments in part:
            await registered(keys=keys, args=arguments, client=pipe)
        answers += await pipe.execute()
    return answers


def _minute(ms: int) -> int:
    """The first minute of all time that does not begin before a moment."""
    return -(-ms // MINUTE_MS)


def _digest(text: str | None) -> bytes:
    """Eight bytes that stand for an extra; zeros for none."""
    return blake2b(text.encode(), digest_size=8).digest() if text else NO_EXTRA


def _extras_of(lines: bytes) -> dict[bytes, Mapping[str, Any] | None]:
    """The extras of a day by digest, from lines of digest and JSON in turn."""
    parts = lines.split(b"\n") if lines else []
    extras: dict[bytes, Mapping[str, Any] | None] = {NO_EXTRA: None}
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        extras[bytes.fromhex(name.decode())] = from_text(text)
    return extras


def _points_of(
    day: int, blob: bytes, extras: Mapping[bytes, Mapping[str, Any] | None]
) -> list[Point]:
    """The points of a day, ascending. One whose extra the server has lost is left out."""
    start = day * DAY_MS
    made = tuple.__new__
    return [
        made(Point, (start + minute * MINUTE_MS, v, extras[digest]))
        for minute, v, digest in sorted(POINT.iter_unpack(blob))
        if digest in extras
    ]
