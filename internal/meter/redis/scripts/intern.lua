-- intern returns the ids of shapes, giving new ones to those that have none.
-- Ids are never used twice, also when one of the two hashes was deleted: rows
-- that are named by an old id would silently belong to another shape.
--
-- KEYS: marks, shapes. ARGV: the shapes.
local marks, shapes = KEYS[1], KEYS[2]
local last = math.max(tonumber(redis.call('HGET', marks, 'ids') or '0'), redis.call('HLEN', shapes))
local ids = {}
for i, text in ipairs(ARGV) do
  local id = redis.call('HGET', shapes, text)
  if not id then
    last = last + 1
    id = string.format('%d', last)
    redis.call('HSET', marks, 'ids', id)
    redis.call('HSET', shapes, text, id)
  end
  ids[i] = id
end
return ids
