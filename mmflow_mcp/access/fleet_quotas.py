"""Quotas of a fleet: counted in Redis by one script, by each replica alone while Redis is away.

    mmflow:quota:CALLER    hash    slot of five seconds -> questions; gone after a minute

The clock is the server's, so replicas whose clocks differ count alike.
"""

import logging
import math
from typing import Any

import anyio

from mmflow_mcp.access.quotas import SLOT_SECONDS, SLOTS, OwnQuotas, Verdict
from mmflow_mcp.clock import Clock
from mmflow_mcp.errors import StoreError
from mmflow_mcp.fleet.redis import CONNECTIONS, RedisServer

log = logging.getLogger("mmflow_mcp")

UNDER = "mmflow:quota:"
# No question waits longer for a count; while the server is away it is tried so often.
PATIENCE_SECONDS = 0.5
RETRY_SECONDS = 2.0

# KEYS: the caller's slots. ARGV: limit, milliseconds of a slot, how many slots count.
# Answers whether it is allowed, how many are used, milliseconds until one is free, and until all.
TAKE = """
local limit, width, slots = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local slot = math.floor(now / width)
local held, counts, total = {}, {}, 0
local found = redis.call('HGETALL', KEYS[1])
for i = 1, #found, 2 do
  local one = tonumber(found[i])
  if one <= slot - slots then
    redis.call('HDEL', KEYS[1], found[i])
  else
    held[#held + 1] = one
    counts[one] = tonumber(found[i + 1])
    total = total + counts[one]
  end
end
local allowed = 0
if total < limit then
  allowed = 1
  redis.call('HINCRBY', KEYS[1], string.format('%d', slot), 1)
  redis.call('PEXPIRE', KEYS[1], width * slots)
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
local whole = (held[#held] + slots) * width - now
return {allowed, total, free, whole}
"""


class FleetQuotas:
    """Counts with all replicas on one server; see `Quotas`.

    Every question is counted here too, so a replica that is left alone does not begin at nothing.
    """

    def __init__(self, server: RedisServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._own = OwnQuotas(clock)
        self._next_try = 0.0
        # In turn: whoever waits for the pool of the library itself may be overtaken for seconds.
        self._lines = anyio.CapacityLimiter(CONNECTIONS)
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
        with self._server.reached() as client, anyio.fail_after(PATIENCE_SECONDS):
            if self._script is None:
                self._script = client.register_script(TAKE)
            async with self._lines:
                allowed, total, free, whole = await self._script(
                    keys=[UNDER + caller], args=[limit, SLOT_SECONDS * 1000, SLOTS], client=client
                )
        return Verdict(
            bool(allowed),
            limit,
            max(0, limit - total),
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
