-- wipe removes everything of a root. The keys that it finds by name are in the
-- slot of those that it is given. Whatever it is cut off by, it ran whole or
-- not at all, because deleting cannot fail.
--
-- KEYS: marks, shapes, days, state, index of windows, damage, the copies of marks, shapes
--   and index of windows.
-- ARGV: what the names of the root's keys begin with.
local prefix = ARGV[1]
for _, day in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  local index = prefix .. 'i:' .. day
  for _, member in ipairs(redis.call('SMEMBERS', index)) do
    local group, hour = math.floor(tonumber(member) / 100), tonumber(member) % 100
    local when = day
    if hour ~= 24 then when = string.format('%s%02d', day, hour) end
    redis.call('UNLINK', prefix .. 'r:' .. when .. ':' .. string.format('%d', group))
  end
  redis.call('UNLINK', index)
end
for _, window in ipairs(redis.call('ZRANGE', KEYS[5], '0', '-1')) do
  redis.call('UNLINK', prefix .. 'b:' .. window)
end
redis.call('UNLINK', unpack(KEYS))
return 'OK'
