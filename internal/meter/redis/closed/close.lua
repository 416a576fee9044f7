-- close marks a month of a root as closed, with the watermarks of this moment: what
-- comes later is a correction. A month that is marked stays as it is, and none comes
-- before one that is closed.
--
-- KEYS: closings, marks, and its copy. ARGV: where the month ends, as the field's name,
--   its month and zone, and the oldest field to keep.
-- Returns the mark as it is now, or '' when a later month is closed.
local had = redis.call('HGET', KEYS[1], ARGV[1])
if had then return had end
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if tonumber(name) > tonumber(ARGV[1]) then return '' end
end
local marks = redis.call('HGETALL', redis.call('EXISTS', KEYS[2]) == 1 and KEYS[2] or KEYS[3])
local text = {ARGV[2]}
for i = 1, #marks, 2 do
  local writer = string.match(marks[i], '^w:(.*)$')
  if writer then table.insert(text, writer .. '=' .. marks[i + 1]) end
end
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if tonumber(name) < tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], name) end
end
redis.call('HSET', KEYS[1], ARGV[1], table.concat(text, ' '))
return redis.call('HGET', KEYS[1], ARGV[1])
