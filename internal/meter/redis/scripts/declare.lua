-- declare notes what a gateway goes by, for a lease, and returns what all do.
--
-- KEYS: the gateways, the file that the digest names.
-- ARGV: gateway, digest ('' for one that leaves), lease in ms, how long a file is kept
--   in ms, the file ('' when it is not sent).
-- Returns OK and, per gateway that lives: its name, digest, what is left of its lease in
-- ms; or FILE when the file is not there.
local gateways, file = KEYS[1], KEYS[2]
local gateway, digest, lease, keep, body = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

if body ~= '' then
  redis.call('SET', file, body, 'PX', keep)
elseif digest ~= '' and redis.call('PEXPIRE', file, keep) == 0 then
  return {'FILE'}
end
redis.call('HSET', gateways, gateway, string.format('%.0f %s', now + lease, digest))
redis.call('PEXPIRE', gateways, keep)

local out, all = {'OK'}, redis.call('HGETALL', gateways)
for i = 1, #all, 2 do
  local deadline, named = string.match(all[i + 1], '^(%d+) (%x*)$')
  local left = deadline and tonumber(deadline) - now or 0
  if left > 0 then
    table.insert(out, all[i])
    table.insert(out, named)
    table.insert(out, string.format('%.0f', left))
  else
    redis.call('HDEL', gateways, all[i])
  end
end
return out
