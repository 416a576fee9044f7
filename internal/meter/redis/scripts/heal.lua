-- heal adds one writer's part to a key that was lost, once.
--
-- KEYS: damage, the key, its index; for a window also the copy of that.
-- ARGV: the key without the root's prefix, writer, expiry, entry in the index, a
--   field that it always has, count, and per field: name, delta.
-- Returns whether damage was noted and this writer's part was missing.
local damage, key, index = KEYS[1], KEYS[2], KEYS[3]
local what, writer, expiry, entry = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local upto = redis.call('HGET', damage, what)
local function given(who) return redis.call('HEXISTS', damage, 'c:' .. who .. '|' .. what) == 1 end
if not upto or given(writer) then return 0 end

local names, deltas = {ARGV[5]}, {'0'}
for i = 1, tonumber(ARGV[6]) do
  names[i + 1], deltas[i + 1] = ARGV[5 + 2 * i], ARGV[6 + 2 * i]
end
if not fits(redis.call('HMGET', key, unpack(names)), deltas) then return 0 end
for i, name in ipairs(names) do redis.call('HINCRBY', key, name, deltas[i]) end
if string.sub(what, 1, 2) == 'b:' then
  keep({index, KEYS[4]}, key, entry, expiry, tonumber(redis.call('TIME')[1]))
else
  redis.call('SADD', index, entry)
  redis.call('EXPIREAT', key, expiry)
end
redis.call('HSET', damage, 'c:' .. writer .. '|' .. what, '1')

local gone = {what}
for who in string.gmatch(upto, '([^|]+)=%d+') do
  if not given(who) then return 1 end
  table.insert(gone, 'c:' .. who .. '|' .. what)
end
redis.call('HDEL', damage, unpack(gone))
return 1
