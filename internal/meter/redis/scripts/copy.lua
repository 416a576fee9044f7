-- same makes a register of a root and its copy alike, before a script goes by them: one
-- that is gone, as after an eviction, comes back from the other. That the register was
-- gone is noted as damage, for people.
local function same(key, copy, damage)
  local has, copied = redis.call('EXISTS', key) == 1, redis.call('EXISTS', copy) == 1
  if has and not copied then redis.call('COPY', key, copy) end
  if copied and not has then
    redis.call('COPY', copy, key)
    redis.call('HSET', damage, 'c:gone|' .. string.match(key, '}:(.*)$'), '1')
  end
end
