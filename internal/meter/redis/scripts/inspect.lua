-- inspect looks for rows of a day that its index names and that are gone.
--
-- KEYS: damage, marks, the day's index. ARGV: what the root's keys begin with, day.
-- Returns all damage that is noted of the root: see note_lost.
local damage, marks, index = KEYS[1], KEYS[2], KEYS[3]
redis.call('SISMEMBER', index, '0')
for _, member in ipairs(redis.call('SMEMBERS', index)) do
  local group, hour, when = math.floor(tonumber(member) / 100), tonumber(member) % 100, ARGV[2]
  if hour ~= 24 then when = string.format('%s%02d', when, hour) end
  local key = ARGV[1] .. 'r:' .. when .. ':' .. string.format('%d', group)
  if redis.call('EXISTS', key) == 0 then note_lost(damage, marks, key) end
end
return redis.call('HGETALL', damage)
