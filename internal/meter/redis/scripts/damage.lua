-- note_lost notes that a key is gone that an index names, with the watermarks of
-- now: what they stand for is missing in it, and each writer adds its part again,
-- once. While the key is gone nobody has, so the last note counts.
local function note_lost(damage, marks, key)
  local what = string.match(key, '}:(.*)$')
  local all, upto = redis.call('HGETALL', marks), {}
  for i = 1, #all, 2 do
    local who = string.match(all[i], '^w:(.*)$')
    if who then
      table.insert(upto, who .. '=' .. all[i + 1])
      redis.call('HDEL', damage, 'c:' .. who .. '|' .. what)
    end
  end
  redis.call('HSET', damage, what, table.concat(upto, '|'))
end
