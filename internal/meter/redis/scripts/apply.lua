-- apply adds one batch to the counters of a root and moves its writer's
-- watermark, all or nothing. Redis keeps what a script wrote before an error,
-- so every check, of types too, comes before the first write.
--
-- KEYS: marks, shapes, days, an index per day, a hash per group of rows.
-- ARGV: writer, epoch, from, to, a generation to use when there is none, then
--   count, and per shape: text, id
--   count, and per index: day, expiry, count, members
--   count, and per group: expiry, count, and per field: name, delta
-- Returns a word, the watermark and the generation.
local marks, shapes, days = KEYS[1], KEYS[2], KEYS[3]
local key, arg = 3, 0
local function take()
  arg = arg + 1
  return ARGV[arg]
end

local writer, epoch, from, to, new = take(), take(), take(), take(), take()
local known = redis.call('HMGET', marks, 'e:' .. writer, 'w:' .. writer, 'gen')
local watermark = known[2] or '0'
local generation = known[3] or ''

-- A newer process owns the journal of this writer.
if known[1] and tonumber(known[1]) > tonumber(epoch) then
  return {'FENCED', watermark, generation}
end
-- A duplicate, an overlap or a gap: the writer goes on behind the watermark.
if tonumber(from) ~= tonumber(watermark) + 1 then
  redis.call('HSET', marks, 'e:' .. writer, epoch)
  return {'NEXT', watermark, generation}
end

for _ = 1, tonumber(take()) do
  local text, id = take(), take()
  if redis.call('HGET', shapes, text) ~= id then return {'SHAPES', watermark, generation} end
end

local indexes = {}
redis.call('SISMEMBER', days, '0')
for i = 1, tonumber(take()) do
  key = key + 1
  local index = {key = KEYS[key], day = take(), expiry = take(), members = {}}
  for _ = 1, tonumber(take()) do
    local member = take()
    if redis.call('SISMEMBER', index.key, member) == 0 then table.insert(index.members, member) end
  end
  indexes[i] = index
end

local groups = {}
for i = 1, tonumber(take()) do
  key = key + 1
  local group = {key = KEYS[key], expiry = take(), names = {}, deltas = {}}
  for j = 1, tonumber(take()) do
    group.names[j], group.deltas[j] = take(), take()
  end
  local stored = redis.call('HMGET', group.key, unpack(group.names))
  if not fits(stored, group.deltas) then return {'BAD', watermark, generation} end
  groups[i] = group
end

for _, index in ipairs(indexes) do
  redis.call('SADD', days, index.day)
  if #index.members > 0 then redis.call('SADD', index.key, unpack(index.members)) end
  redis.call('EXPIREAT', index.key, index.expiry)
end
for _, group in ipairs(groups) do
  for j, name in ipairs(group.names) do
    redis.call('HINCRBY', group.key, name, group.deltas[j])
  end
  redis.call('EXPIREAT', group.key, group.expiry)
end
if generation == '' then generation = new end
redis.call('HSET', marks, 'w:' .. writer, to, 'e:' .. writer, epoch, 'gen', generation)
return {'OK', to, generation}
