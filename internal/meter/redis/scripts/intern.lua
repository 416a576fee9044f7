-- intern returns the ids of shapes, giving new ones to those that have none.
-- Ids are never used twice, also when one of the two hashes was deleted: rows
-- that are named by an old id would silently belong to another shape.
--
-- KEYS: marks, shapes, damage, the copies of marks and shapes. ARGV: the shapes.
local marks, shapes, damage = KEYS[1], KEYS[2], KEYS[3]
same(marks, KEYS[4], damage)
same(shapes, KEYS[5], damage)
local last = math.max(tonumber(redis.call('HGET', marks, 'ids') or '0'), redis.call('HLEN', shapes))
local ids = {}
for i, text in ipairs(ARGV) do
  local id = redis.call('HGET', shapes, text)
  if not id then
    last = last + 1
    id = string.format('%d', last)
    for _, kept in ipairs({marks, KEYS[4]}) do redis.call('HSET', kept, 'ids', id) end
    for _, kept in ipairs({shapes, KEYS[5]}) do redis.call('HSET', kept, text, id) end
  end
  ids[i] = id
end
return ids
