"""What the history asks of Redis, as scripts that run in the server.

They exist for speed, and each does its part as a whole: a week of one series is 1,008 fields, and
reading so many answers one by one takes the client library 19 ms, reading one text 1 ms.

A point on the way is 18 bytes: minute of the day, value, the extra's digest (zeros for none). In
the hash of its day it is the minute and, as the value, the other 16.
"""

import struct

POINT = struct.Struct("<Hd8s")
NO_EXTRA = bytes(8)

# KEYS: points, extras, days. ARGV: day, milliseconds to live, of the days, points, extras...
# The points of one day, and the extras by their digest in hexadecimal.
PUT = """
local blob, values = ARGV[4], {}
for at = 1, #blob, 18 do
  values[#values + 1] = string.format('%d', (struct.unpack('<H', blob, at)))
  values[#values + 1] = string.sub(blob, at + 2, at + 17)
end
redis.call('HSET', KEYS[1], unpack(values))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if #ARGV > 4 then
  redis.call('HSET', KEYS[2], unpack(ARGV, 5))
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
redis.call('ZADD', KEYS[3], ARGV[1], ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
return #values / 2
"""

# KEYS: points and extras of a day, of the next, ... Answers for each day the points in one text,
# and the extras in one, a line for a digest and a line for what it stands for.
READ = """
local days = {}
for i = 1, #KEYS, 2 do
  local found = redis.call('HGETALL', KEYS[i])
  for j = 1, #found, 2 do found[j] = struct.pack('<H', tonumber(found[j])) end
  days[i] = table.concat(found)
  days[i + 1] = table.concat(redis.call('HGETALL', KEYS[i + 1]), '\\n')
end
return days
"""

# KEYS: points of a day, of the next, ... ARGV: earliest minute of all time that counts, days...
# Answers the first minute, the last, how many; nothing when there are none.
COUNT = """
local first, last, count = nil, nil, 0
for i, key in ipairs(KEYS) do
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local minute = tonumber(ARGV[i + 1]) * 1440 + tonumber(field)
    if minute >= tonumber(ARGV[1]) then
      if not first or minute < first then first = minute end
      if not last or minute > last then last = minute end
      count = count + 1
    end
  end
end
if count == 0 then return {} end
return {first, last, count}
"""

# KEYS: points, extras, days. ARGV: day, first and last minute of all time that go.
# Answers how many points went.
DROP = """
local gone = 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local minute = tonumber(ARGV[1]) * 1440 + tonumber(field)
  if minute >= tonumber(ARGV[2]) and minute <= tonumber(ARGV[3]) then
    gone = gone + redis.call('HDEL', KEYS[1], field)
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[1])
end
return gone
"""
