-- refill puts keys that are there into the set that lists them.
--
-- KEYS: the set, then keys. ARGV: when the set expires (0 for never), then what the set
--   calls each key.
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('SADD', KEYS[1], ARGV[i]) end
end
if ARGV[1] ~= '0' then redis.call('EXPIREAT', KEYS[1], ARGV[1]) end
return 1
