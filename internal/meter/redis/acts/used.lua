-- used notes when keys were used last.
--
-- KEYS: the hash of times. ARGV: per key its id and a time in Unix seconds.
for i = 1, #ARGV, 2 do
  local before = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0')
  if before < tonumber(ARGV[i + 1]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
