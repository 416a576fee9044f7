-- swap takes acts that the board does not have, and returns those behind a cursor.
--
-- KEYS: the list of acts, the hash of their ids with the board's mark.
-- ARGV: the cursor's mark, how many entries it has read, the id of the last of them ('' for
--   none), a mark for a board that has none, how many entries to return, and per act its id and
--   its text.
-- Returns the mark, 1 when the cursor is of contents that are gone and 0 otherwise, how many
-- entries there are, and entries: id, a space, text.
local list, ids = KEYS[1], KEYS[2]
local read, last = tonumber(ARGV[2]), ARGV[3]
local mark, count = redis.call('HGET', ids, 'mark'), redis.call('LLEN', list)
if not mark or redis.call('HLEN', ids) ~= count + 1 then -- one of the two keys was lost
  redis.call('DEL', list, ids)
  mark, count = ARGV[4], 0
  redis.call('HSET', ids, 'mark', mark)
end
local gone = 0
if ARGV[1] ~= mark or read > count then
  gone = 1
elseif read > 0 then
  local at = redis.call('LINDEX', list, read - 1)
  if string.sub(at, 1, #last) ~= last then gone = 1 end -- a failover lost some, and others came
end
if gone == 1 then read = 0 end
for i = 6, #ARGV, 2 do
  if redis.call('HSETNX', ids, ARGV[i], '') == 1 then
    redis.call('RPUSH', list, ARGV[i] .. ' ' .. ARGV[i + 1])
    count = count + 1
  end
end
local entries = redis.call('LRANGE', list, read, read + tonumber(ARGV[5]) - 1)
return {mark, tostring(gone), tostring(count), unpack(entries)}
