"""Quotas of a fleet: counted in Redis by one script, by each replica alone while Redis is away.

    mmflow:quota:CALLER    hash    slot of five seconds -> questions; gone after a minute

The clock is the server's, so replicas whose clocks differ count alike.
"""

import logging
import math
from dataclasses import dataclass
from typing import Any

import anyio

from mmflow_mcp.access.quotas import SLOT_SECONDS, SLOTS, OwnQuotas, Verdict
from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import StoreAway, StoreError
from mmflow_mcp.fleet.redis import RedisServer

log = logging.getLogger("mmflow_mcp")

UNDER = "mmflow:quota:"
# No question waits longer for a count; while the server is away it is tried so often.
PATIENCE_SECONDS = 0.5
RETRY_SECONDS = 2.0

# KEYS: the slots of a caller, of the next, ... ARGV: milliseconds of a slot, how many slots count,
# then the limit of each. Answers four numbers for each: whether it is allowed, how many are used,
# milliseconds until one is free, and until all.
TAKE = """
local width, slots = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local slot = math.floor(now / width)
local answers = {}
for k, key in ipairs(KEYS) do
  local limit = tonumber(ARGV[2 + k])
  local held, counts, total, allowed = {}, {}, 0, 0
  local found = redis.call('HGETALL', key)
  for i = 1, #found, 2 do
    local one = tonumber(found[i])
    if one <= slot - slots then
      redis.call('HDEL', key, found[i])
    else
      held[#held + 1] = one
      counts[one] = tonumber(found[i + 1])
      total = total + counts[one]
    end
  end
  if total < limit then
    allowed = 1
    redis.call('HINCRBY', key, string.format('%d', slot), 1)
    redis.call('PEXPIRE', key, width * slots)
    if not counts[slot] then
      held[#held + 1] = slot
      counts[slot] = 0
    end
    counts[slot] = counts[slot] + 1
    total = total + 1
  end
  table.sort(held)
  local left, free = total, 0
  for _, one in ipairs(held) do
    if left < limit then break end
    left = left - counts[one]
    free = (one + slots) * width - now
  end
  answers[#answers + 1] = allowed
  answers[#answers + 1] = total
  answers[#answers + 1] = free
  answers[#answers + 1] = (held[#held] + slots) * width - now
end
return answers
"""
# So many are counted at once: the server has other things to do in between.
AT_ONCE = 100


@dataclass(slots=True, eq=False)
class Asked:
    """A question that waits for its count."""

    caller: str
    limit: int
    verdict: Verdict | None = None
    lost: bool = False


class FleetQuotas:
    """Counts with all replicas on one server; see `Quotas`.

    Every question is counted here too, so a replica that is left alone does not begin at nothing.
    """

    def __init__(self, server: RedisServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._own = OwnQuotas(clock)
        self._next_try = 0.0
        self._turn = anyio.Lock()
        self._waiting: list[Asked] = []
        self._script: Any = None
        self.away = False

    async def take(self, caller: str, limit: int) -> Verdict:
        """Count one question; see `Quotas`."""
        if self._clock.monotonic() >= self._next_try:
            if self.away:
                # One question tries it for all.
                self._next_try = self._clock.monotonic() + RETRY_SECONDS
            try:
                verdict = await self._ask(caller, limit)
            except StoreError as error:
                self._lost(error)
            else:
                self._found()
                if verdict.allowed:
                    self._own.note(caller)
                return verdict
        return await self._own.take(caller, limit)

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _ask(self, caller: str, limit: int) -> Verdict:
        """Have a question counted, in one call with all that were asked during the last call.

        Under load a call for each would cost three times the work of everything else.
        """
        asked = Asked(caller, limit)
        self._waiting.append(asked)
        try:
            with self._server.reached() as client, anyio.fail_after(PATIENCE_SECONDS):
                async with self._turn:
                    while asked.verdict is None and not asked.lost:
                        await self._count(client)
        finally:
            if asked in self._waiting:
                self._waiting.remove(asked)
        if asked.verdict is None:
            raise StoreAway(f"{self._server.name} does not answer")
        return asked.verdict

    async def _count(self, client: Any) -> None:
        """Count the first that wait. When that fails it has failed for all of them."""
        batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        if self._script is None:
            self._script = client.register_script(TAKE)
        try:
            found = await self._script(
                keys=[UNDER + one.caller for one in batch],
                args=[SLOT_SECONDS * 1000, SLOTS, *(one.limit for one in batch)],
                client=client,
            )
        except BaseException:
            for one in batch:
                one.lost = True
            raise
        for i, one in enumerate(batch):
            allowed, total, free, whole = found[4 * i : 4 * i + 4]
            one.verdict = Verdict(
                bool(allowed),
                one.limit,
                max(0, one.limit - total),
                math.ceil(free / 1000),
                math.ceil(whole / 1000),
            )

    def _lost(self, error: StoreError) -> None:
        if not self.away:
            log.warning("quotas are counted by this replica alone: %s", error)
        self.away = True
        self._next_try = self._clock.monotonic() + RETRY_SECONDS

    def _found(self) -> None:
        if self.away:
            log.warning("quotas are counted by the whole fleet again")
        self.away = False
        self._next_try = 0.0
