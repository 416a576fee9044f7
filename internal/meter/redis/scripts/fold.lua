-- fold moves the groups of one hour into those of their day. It reads what it
-- moves itself and removes it in the same step, so it can be repeated, and run
-- by several gateways.
--
-- KEYS: the day's index, then per group: the hour's hash, the day's hash.
-- ARGV: expiry, then per group: the hour's member of the index, the day's.
-- Returns 1, or 0 when a sum would be out of range and nothing was moved.
local index, expiry = KEYS[1], ARGV[1]
redis.call('SISMEMBER', index, '0')

local moves = {}
for i = 2, #KEYS, 2 do
  local move = {hour = KEYS[i], day = KEYS[i + 1], from = ARGV[i], to = ARGV[i + 1], names = {}, deltas = {}}
  local stored = redis.call('HGETALL', move.hour)
  for j = 1, #stored, 2 do
    table.insert(move.names, stored[j])
    table.insert(move.deltas, stored[j + 1])
  end
  if #move.names > 0 and not fits(redis.call('HMGET', move.day, unpack(move.names)), move.deltas) then
    return 0
  end
  if #move.names > 0 then table.insert(moves, move) end -- what was lost is not over
end

for _, move in ipairs(moves) do
  for j, name in ipairs(move.names) do
    redis.call('HINCRBY', move.day, name, move.deltas[j])
  end
  redis.call('EXPIREAT', move.day, expiry)
  redis.call('SADD', index, move.to)
  redis.call('DEL', move.hour)
  redis.call('SREM', index, move.from)
end
if redis.call('EXISTS', index) == 1 then redis.call('EXPIREAT', index, expiry) end
return 1
