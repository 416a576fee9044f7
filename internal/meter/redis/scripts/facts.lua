-- share lets a call on a root carry facts between gateways, in one log
-- per kind. It runs after all else that the script does, and nothing that goes
-- wrong in it is an error: the books do not depend on it.
--
-- KEYS: the last ones are the logs.
-- ARGV: the last ones are, per log: how many entries it keeps, from where to
--   read, how many entries at most, until when what is added is of use, count and
--   texts to add; then the number of logs, and of all these arguments.
-- Returns reply and behind it, per log: where to read on, count, texts.
local function share(reply)
  local logs, arg = tonumber(ARGV[#ARGV - 1]), #ARGV - 2 - tonumber(ARGV[#ARGV])
  local function take()
    arg = arg + 1
    return ARGV[arg]
  end

  -- newest is the id of the last entry, '0-0' for none.
  local function newest(log)
    local found = redis.pcall('XREVRANGE', log, '+', '-', 'COUNT', 1)
    return not found.err and found[1] and found[1][1] or '0-0'
  end
  local function before(a, b)
    local a1, a2 = string.match(a, '(%d+)-(%d+)')
    local b1, b2 = string.match(b, '(%d+)-(%d+)')
    a1, a2, b1, b2 = tonumber(a1), tonumber(a2), tonumber(b1), tonumber(b2)
    return a1 < b1 or a1 == b1 and a2 < b2
  end

  -- read returns the entries behind the cursor. A log that ends before it was
  -- lost and begun anew: it is read from its beginning.
  local function read(log, cursor, most)
    local last = newest(log)
    if last == cursor then return {}, cursor end
    if before(last, cursor) then cursor = '0-0' end
    local found = redis.pcall('XRANGE', log, '(' .. cursor, '+', 'COUNT', most)
    if found.err or #found == 0 then return {}, cursor end
    return found, found[#found][1]
  end

  -- add appends the texts. What is added when all else was read need not be read.
  local function add(log, keeps, expiry, count)
    if count == 0 then return end
    for _ = 1, count do redis.pcall('XADD', log, 'MAXLEN', '~', keeps, '*', 'h', take()) end
    local expires = redis.pcall('EXPIRETIME', log)
    if type(expires) == 'number' and expires < tonumber(expiry) then redis.pcall('EXPIREAT', log, expiry) end
  end

  for i = 1, logs do
    local log = KEYS[#KEYS - logs + i]
    local keeps, cursor, most, expiry, count = take(), take(), take(), take(), tonumber(take())
    local found, read_to = read(log, cursor, most)
    add(log, keeps, expiry, count)
    if count > 0 and #found < tonumber(most) then read_to = newest(log) end
    table.insert(reply, read_to)
    table.insert(reply, tostring(#found))
    for _, entry in ipairs(found) do table.insert(reply, entry[2][2]) end
  end
  return reply
end
