-- swap takes acts that the board does not have, and returns those behind a cursor.
--
-- KEYS: the list of acts, the hash of their ids with the board's mark.
-- ARGV: the cursor's mark, how many entries it has read, the place of the last of them ('' for
--   none), a mark for a board that has none, how many entries to return, and per act its id and
--   its text.
-- Returns the mark, 1 when the cursor is of contents that are gone and 0 otherwise, how many
-- entries there are, and entries: place, a space, text. A place is the act's id, a colon, and
-- SHA-1 of the place before and the id: the same place has the same entries before it.
local list, ids = KEYS[1], KEYS[2]
local read, last = tonumber(ARGV[2]), ARGV[3]
local mark, count = redis.call('HGET', ids, 'mark'), redis.call('LLEN', list)
if not mark or redis.call('HLEN', ids) ~= count + 1 then -- one of the two keys was lost
  redis.call('DEL', list, ids)
  mark, count = ARGV[4], 0
  redis.call('HSET', ids, 'mark', mark)
end
local function place(at) return string.match(at, '^%S*') end
local gone = 0
if ARGV[1] ~= mark or read > count then
  gone = 1
elseif read > 0 then
  if place(redis.call('LINDEX', list, read - 1)) ~= last then gone = 1 end -- a failover lost some, and others came
end
if gone == 1 then read = 0 end
local before = place(redis.call('LINDEX', list, -1) or '')
for i = 6, #ARGV, 2 do
  if redis.call('HSETNX', ids, ARGV[i], '') == 1 then
    before = ARGV[i] .. ':' .. redis.sha1hex(before .. ARGV[i])
    redis.call('RPUSH', list, before .. ' ' .. ARGV[i + 1])
    count = count + 1
  end
end
local entries = redis.call('LRANGE', list, read, read + tonumber(ARGV[5]) - 1)
return {mark, tostring(gone), tostring(count), unpack(entries)}
