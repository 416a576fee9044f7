-- inspect looks for what a root has lost: registers, which come back from their copies;
-- the set of days and the index of a day, which are noted to be filled again; and rows
-- that the day's index names.
--
-- KEYS: damage, marks, shapes, index of windows, the copies of these three, state, days,
--   the day's index. ARGV: what the root's keys begin with, day.
-- Returns until when leases are frozen (ms, 0 for not at all), a count, and keys of rows
--   that are not here and their entries in the index; then all damage that is noted.
local damage, marks, shapes, windows, days, index = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[9], KEYS[10]
local prefix, day = ARGV[1], ARGV[2]
redis.call('SISMEMBER', index, '0')
for i = 2, 4 do same(KEYS[i], KEYS[i + 3], damage) end

-- What a program before copies wrote is in the register alone.
local function differs()
  local a, b = redis.call('HGETALL', marks), redis.call('HGETALL', KEYS[5])
  table.sort(a)
  table.sort(b)
  return table.concat(a, '\n') ~= table.concat(b, '\n')
end
if differs() then redis.call('COPY', marks, KEYS[5], 'REPLACE') end
if redis.call('HLEN', shapes) > redis.call('HLEN', KEYS[6]) then redis.call('COPY', shapes, KEYS[6], 'REPLACE') end
if redis.call('ZCARD', windows) > redis.call('ZCARD', KEYS[7]) then redis.call('COPY', windows, KEYS[7], 'REPLACE') end

local listed, indexed = redis.call('SISMEMBER', days, day) == 1, redis.call('EXISTS', index) == 1
if indexed and not listed then redis.call('HSET', damage, 'c:gone|d', '1') end
if listed and not indexed then redis.call('HSET', damage, 'c:gone|i:' .. day, '1') end

local missing = {}
for _, member in ipairs(redis.call('SMEMBERS', index)) do
  local group, hour, when = math.floor(tonumber(member) / 100), tonumber(member) % 100, day
  if hour ~= 24 then when = string.format('%s%02d', day, hour) end
  local key = prefix .. 'r:' .. when .. ':' .. string.format('%d', group)
  if redis.call('EXISTS', key) == 0 then
    table.insert(missing, key)
    table.insert(missing, member)
  end
end

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local frozen = redis.call('HGET', KEYS[8], 'until') or '0'
if tonumber(frozen) <= now then frozen = '0' end
local out = {frozen, tostring(#missing)}
for _, text in ipairs(missing) do table.insert(out, text) end
for _, text in ipairs(redis.call('HGETALL', damage)) do table.insert(out, text) end
return out
