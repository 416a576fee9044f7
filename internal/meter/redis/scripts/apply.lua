-- apply adds one batch to the counters of a root and moves its writer's
-- watermark, all or nothing. Redis keeps what a script wrote before an error,
-- so every check, of types too, comes before the first write.
--
-- KEYS: marks, shapes, days, state, index of windows, damage, the copies of marks and of
--   the index of windows, closings, an index per day, a hash per group of rows, a hash per window.
-- ARGV: writer, whose accounts are charged, epoch, from, to, a generation to use
--   when there is none, how many closings are known, then
--   count, and per shape: text, id
--   count, and per index: day, expiry, count, members
--   count, and per group: expiry, count, and per field: name, delta
--   the number up to which nothing is taken out of accounts, then
--   count, and per window: name, expiry, and what is posted, suspended and taken
--   what share adds, as well as to KEYS
-- Returns a word, the watermark and the generation; with OK also what share adds.
local marks, shapes, days, state, windows_index, damage = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local marks_copy, windows_copy = KEYS[7], KEYS[8]
local key, arg = 9, 0
local function take()
  arg = arg + 1
  return ARGV[arg]
end

local writer, holder, epoch, from, to, new = take(), take(), take(), take(), take(), take()
same(marks, marks_copy, damage)
same(windows_index, windows_copy, damage)
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

-- Other months are closed than this writer knows: its rows may have to be others.
if redis.call('HLEN', KEYS[9]) ~= tonumber(take()) then return {'CLOSED', watermark, generation} end

for _ = 1, tonumber(take()) do
  local text, id = take(), take()
  if redis.call('HGET', shapes, text) ~= id then return {'SHAPES', watermark, generation} end
end

local indexes, had = {}, {} -- had: whether a group should be there, in their order
if redis.call('EXISTS', days) == 0 then -- gone, if anything was ever posted
  for _, name in ipairs(redis.call('HKEYS', marks)) do
    if string.sub(name, 1, 2) == 'w:' then redis.call('HSET', damage, 'c:gone|d', '1') end
  end
end
for i = 1, tonumber(take()) do
  key = key + 1
  local index = {key = KEYS[key], day = take(), expiry = take(), members = {}}
  if redis.call('SISMEMBER', days, index.day) == 1 and redis.call('EXISTS', index.key) == 0 then
    redis.call('HSET', damage, 'c:gone|i:' .. index.day, '1')
  end
  for _ = 1, tonumber(take()) do
    local member = take()
    local is = redis.call('SISMEMBER', index.key, member) == 1
    table.insert(had, is)
    if not is then table.insert(index.members, member) end
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
  group.lost = had[i] and redis.call('EXISTS', group.key) == 0
  groups[i] = group
end

-- After a loss the writer asserted what it holds, without what it had
-- journalled until then.
local after, count = take(), tonumber(take())
local asserted = count > 0 and holder == writer and redis.call('HGET', state, 'n:' .. writer) or '0'
if tonumber(asserted) >= tonumber(from) and asserted ~= after then
  return {'AFTER', asserted, generation}
end

-- charge takes out of what older processes of the writer left, then out of its
-- account; what it does not find there was spent without a hold.
local function charge(w, taken)
  local left = math.min(taken, w.left)
  w.left, w.s, taken = w.left - left, w.s - left, taken - left
  if not w.account then return end
  local out = math.min(taken, w.account.remains)
  w.account.remains = w.account.remains - out
  if w.account.expired then w.s = w.s - out else w.h = w.h - out end
end

local windows, seconds = {}, tonumber(redis.call('TIME')[1])
for i = 1, count do
  key = key + 1
  local w = {key = KEYS[key], name = take(), expiry = take()}
  local posted, suspended, taken = exact(take()), exact(take()), exact(take())
  local stored = redis.call('HMGET', w.key, 'p', 'h', 's', 'o:' .. holder, 'a:' .. holder)
  w.p, w.h, w.s, w.left = tonumber(stored[1] or '0'), tonumber(stored[2] or '0'), tonumber(stored[3] or '0'), tonumber(stored[4] or '0')
  w.account = stored[5] and parse_account(stored[5])
  w.lost = not stored[1] and not stored[2] and is_lost(windows_index, w.key, w.name, seconds)
  charge(w, taken)
  w.p, w.s = w.p + posted, w.s + suspended
  if math.abs(w.p) > LIMIT or math.abs(w.s) > LIMIT then return {'BAD', watermark, generation} end
  windows[i] = w
end

for _, w in ipairs(windows) do
  if w.lost then -- what comes now must not hide it
    redis.call('HSET', state, 'lost', '1')
    note_lost(damage, marks, w.key)
  end
  redis.call('HSET', w.key, 'p', whole(w.p), 'h', whole(w.h), 's', whole(w.s))
  if w.account then redis.call('HSET', w.key, 'a:' .. holder, account_text(w.account)) end
  if w.left > 0 then redis.call('HSET', w.key, 'o:' .. holder, whole(w.left)) else redis.call('HDEL', w.key, 'o:' .. holder) end
  keep({windows_index, windows_copy}, w.key, w.name, w.expiry, seconds)
end
for _, index in ipairs(indexes) do
  redis.call('SADD', days, index.day)
  if #index.members > 0 then redis.call('SADD', index.key, unpack(index.members)) end
  redis.call('EXPIREAT', index.key, index.expiry)
end
for _, group in ipairs(groups) do
  if group.lost then note_lost(damage, marks, group.key) end
  for j, name in ipairs(group.names) do
    redis.call('HINCRBY', group.key, name, group.deltas[j])
  end
  redis.call('EXPIREAT', group.key, group.expiry)
end
if generation == '' then generation = new end
for _, kept in ipairs({marks, marks_copy}) do
  redis.call('HSET', kept, 'w:' .. writer, to, 'e:' .. writer, epoch, 'gen', generation)
end
return share({'OK', to, generation})
