"""What the shared cache asks of the server, as scripts: each is one step that nobody divides.

The clock is the server's, so replicas whose clocks differ judge ages alike. A key that holds
something of another type is not ours: it is removed.
"""

from mmflow_mcp.fleet.link import Script
from mmflow_mcp.upstream.parcel import STAMP

_SHARED = """
local function own(name)
  local value = redis.pcall('GET', name)
  if type(value) == 'table' and value.err then
    redis.call('DEL', name)
    return false
  end
  return value
end
"""

# KEYS: the copy, the lease, the failure of the flight that is waited for. ARGV: ms of age that
# will do (-1: none), our token, ms of a lease, the token that is waited for or ''.
# Answers: copy, now, bytes | failed, what | wait, the flyer's token, ms of its lease | fly, now.
LOOK = Script(
    _SHARED
    + f"""
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local stamp = redis.pcall('GETRANGE', KEYS[1], 0, {STAMP - 1})
if type(stamp) == 'table' then
  redis.call('DEL', KEYS[1])
  stamp = ''
end
local read = tonumber(stamp)
if read and now >= read and now - read <= tonumber(ARGV[1]) then
  return {{'copy', string.format('%d', now), redis.call('GET', KEYS[1])}}
end
if ARGV[4] ~= '' then
  local failure = own(KEYS[3])
  if failure then return {{'failed', failure}} end
end
local holder = own(KEYS[2])
local left = redis.call('PTTL', KEYS[2])
if holder and holder ~= ARGV[2] and left > 0 and left <= tonumber(ARGV[3]) then
  return {{'wait', holder, left}}
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return {{'fly', string.format('%d', now)}}
"""
)

# KEYS: the copy, the lease. ARGV: the copy, ms to keep it, our token, channel, message.
KEEP = Script(
    _SHARED
    + """
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if own(KEYS[2]) == ARGV[3] then redis.call('DEL', KEYS[2]) end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
"""
)

# KEYS: the lease, the failure. ARGV: our token, channel, message, what failed or '', ms to keep it.
END = Script(
    _SHARED
    + """
if own(KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
if ARGV[4] ~= '' then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5]) end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
"""
)
