-- Common to grant and renew: the root's state, its windows, and whether the
-- ledger has lost writes. Nothing but registers that are gone is written before the
-- functions save_*.
--
-- KEYS: marks, state, index, damage, the copies of marks and index, then a hash per window.
-- ARGV: writer, epoch, watermark, 1 when the gateway knows otherwise that writes
--   were lost, ttl in ms, the generation that it knows, one to use when there is
--   none; what follows is the script's own.
local marks, state_key, index, damage = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local marks_copy, indexes = KEYS[5], {KEYS[3], KEYS[6]}
same(marks, marks_copy, damage)
same(index, KEYS[6], damage)
local arg = 0
local function take()
  arg = arg + 1
  return ARGV[arg]
end
local function fields(key)
  local flat, out = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do out[flat[i]] = flat[i + 1] end
  return out
end

local writer, epoch, claimed, reported, ttl = take(), tonumber(take()), tonumber(take()), take() == '1', tonumber(take())
local known, fresh = take(), take()
local clock = redis.call('TIME')
local seconds = tonumber(clock[1])
local now = seconds * 1000 + math.floor(tonumber(clock[2]) / 1000)
local state, set_state = fields(state_key), {}
local mark = redis.call('HMGET', marks, 'e:' .. writer, 'w:' .. writer, 'gen')
local last_epoch, watermark, generation = tonumber(mark[1] or '0'), tonumber(mark[2] or '0'), mark[3] or ''

local function number(name) return tonumber(state[name] or '0') end
local function put(name, value) -- false removes
  state[name], set_state[name] = value or nil, value
end

-- open_window reads the window whose arguments are next. One that the index names
-- and that is not there was lost: nothing that is in use ends before its entry.
local lost_windows = {}
local function open_window(i)
  local w = {key = KEYS[6 + i], name = take(), loose = take() == '1', ends = tonumber(take()), expiry = take(), set = {}, gone = {}}
  w.hash = fields(w.key)
  w.p, w.h, w.s = tonumber(w.hash.p or '0'), tonumber(w.hash.h or '0'), tonumber(w.hash.s or '0')
  w.over = w.ends ~= 0 and w.ends <= now
  if not next(w.hash) and not w.over and not w.loose and is_lost(index, w.key, w.name, seconds) then
    table.insert(lost_windows, w)
  end
  return w
end

local function write_account(w, who, a) w.set['a:' .. who] = account_text(a) end

-- expire moves what remains from held to suspense; revive moves it back.
local function expire(w, a)
  if a.expired then return false end
  a.expired, w.h = true, w.h - a.remains
  if not w.loose then w.s = w.s + a.remains end
  return true
end
local function revive(w, a)
  if not a.expired then return end
  a.expired, w.h = false, w.h + a.remains
  if not w.loose then w.s = w.s - a.remains end
end

-- sweep expires the accounts of other writers that were not renewed.
local function sweep(w)
  for name, text in pairs(w.hash) do
    local who = string.match(name, '^a:(.*)$')
    if who and who ~= writer and number('d:' .. who) < now then
      local a = parse_account(text)
      if expire(w, a) then write_account(w, who, a) end
      if w.loose and not state['d:' .. who] then
        w.set[name] = nil
        table.insert(w.gone, name)
      end
    end
  end
end

-- own returns the writer's account. What an older process of it left is set
-- apart: the records that spent it may still come.
local function own(w)
  local text = w.hash['a:' .. writer]
  local a = text and parse_account(text)
  if a and a.epoch < epoch then
    expire(w, a)
    if a.remains > 0 and not w.loose then
      w.set['o:' .. writer] = whole(tonumber(w.hash['o:' .. writer] or '0') + a.remains)
    end
    a = nil
    table.insert(w.gone, 'a:' .. writer)
  end
  a = a or {epoch = epoch, granted = 0, returned = 0, remains = 0, expired = false}
  revive(w, a)
  return a
end

local function take_back(w, a, returned)
  if returned <= a.returned then return end
  local back = math.min(returned - a.returned, a.remains)
  a.returned, a.remains, w.h = returned, a.remains - back, w.h - back
end

-- leased reports whether any writer has an account in the window. Its sums stay
-- behind when the last one goes, and mean nothing.
local function leased(w)
  for name in pairs(w.hash) do
    if string.match(name, '^a:') then return true end
  end
  return false
end

-- forgotten reports whether the ledger granted more than it has, by what the
-- writer knows. Windows that are over may be gone for good, and so may what was
-- leased of a loose one to a writer that was silent: it then has again what it
-- says, all of which it still holds.
local function forgotten(w, a, granted, returned)
  if granted <= a.granted or w.over then return false end
  if not w.loose or leased(w) and state['d:' .. writer] then return true end
  a.granted, a.returned, a.remains = granted, returned, granted - returned
  w.h = w.h + a.remains
  return false
end

local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
end

local function is_frozen() return number('until') > now end

-- doubtful reports whether the root is frozen only because another server answers
-- than before: nobody has shown that it lacks anything.
local function doubtful() return is_frozen() and state.doubt == state.since end

-- freeze stops grants for the longest ttl that was asked for.
local function freeze(doubt)
  local since = math.max(now, number('since') + 1)
  put('early', state.longest and '1' or '0')
  put('since', whole(since))
  put('until', whole(now + math.max(number('longest'), ttl)))
  put('doubt', doubt and whole(since))
end

-- look_for_loss freezes the root when writes were lost. An incident freezes
-- once: who has not asserted yet reports the same one. A server that is another
-- one is no loss, but a reason to ask all writers. A writer that was silent during
-- the last freeze is late: what it misses was lost then.
local late = false
local function look_for_loss(accounts_forgotten)
  local run = run_id()
  local moved = run ~= '' and state.run and state.run ~= run
  local last = state['f:' .. writer]
  local asserted = last == state.since
  late = not is_frozen() and state.since and last and not asserted
  local forgot = accounts_forgotten and not late or known ~= '' and known ~= generation
  local window = #lost_windows > 0 or state.lost
  local proof = forgot or window or reported or claimed > watermark
  if is_frozen() and not doubtful() then
    proof = moved or asserted and (forgot or window)
  end
  put('run', run)
  if window then put('lost', false) end
  if proof then freeze(false) elseif moved then freeze(true) end
  late = late and not is_frozen()
  if not last and not is_frozen() then put('f:' .. writer, state.since or '0') end
  put('longest', whole(math.max(number('longest'), ttl)))
end

-- settled reports whether every writer that lives has confirmed that the ledger
-- has what it knows of, or has asserted what it holds and has posted again what it
-- had posted.
local function settled()
  for name, deadline in pairs(state) do
    local who = string.match(name, '^d:(.*)$')
    if who and tonumber(deadline) >= now then
      local has = tonumber(redis.call('HGET', marks, 'w:' .. who) or '0')
      if state['f:' .. who] ~= state.since or has < number('n:' .. who) then return false end
    end
  end
  return true
end

-- SPEAK is how many times in a ttl writers that have leases speak. One that the
-- ledger has forgotten whole shows it then.
local SPEAK = 50

-- thaw ends a freeze before its time, when the list of writers was not lost and
-- each has had the time to speak.
local function thaw()
  if not is_frozen() or state.early ~= '1' then return end
  local least = (number('until') - number('since')) / 2
  if doubtful() then least = (number('until') - number('since')) / SPEAK end
  if now >= number('since') + least and settled() then put('until', '0') end
end

-- renew keeps the writer's accounts, or takes the writer off the list of those that
-- have any, and forgets writers long gone.
local function renew(leaves)
  put('d:' .. writer, whole(leaves and now - 1 or now + ttl))
  for name, deadline in pairs(state) do
    local who = string.match(name, '^d:(.*)$')
    if who and tonumber(deadline) < now - 3600000 then
      set_state['d:' .. who], set_state['l:' .. who], set_state['f:' .. who] = false, false, false
    end
  end
end

-- recalled answers each refusal once to each other writer.
local function recalled()
  if now >= number('recall') or number('l:' .. writer) >= number('refusals') then return '0' end
  put('l:' .. writer, state.refusals)
  return '1'
end

local function save_state()
  for _, w in ipairs(lost_windows) do -- found once
    note_lost(damage, marks, w.key)
    redis.call('HSETNX', w.key, 'p', '0')
    keep(indexes, w.key, w.name, w.expiry, seconds)
  end
  for name, value in pairs(set_state) do
    if value then redis.call('HSET', state_key, name, value) else redis.call('HDEL', state_key, name) end
  end
  if generation == '' then
    generation = fresh
  end
  for _, kept in ipairs({marks, marks_copy}) do
    redis.call('HSET', kept, 'gen', generation)
    if last_epoch < epoch then redis.call('HSET', kept, 'e:' .. writer, whole(epoch)) end
  end
end

local function save_window(w)
  w.set.p, w.set.h, w.set.s = whole(w.p), whole(w.h), whole(w.s)
  local changes = {}
  for name, value in pairs(w.set) do
    if w.hash[name] ~= value and not (value == '0' and not w.hash[name]) then
      table.insert(changes, name)
      table.insert(changes, value)
    end
  end
  if #w.gone > 0 then redis.call('HDEL', w.key, unpack(w.gone)) end
  if #changes > 0 then redis.call('HSET', w.key, unpack(changes)) end
  if #changes > 0 or redis.call('TTL', w.key) < 3600 then
    if redis.call('EXISTS', w.key) == 1 then keep(indexes, w.key, w.name, w.expiry, seconds) end
  end
end

local function answer(word, detail, recall, windows)
  local out = {word, detail, recall, generation}
  for _, w in ipairs(windows) do
    table.insert(out, whole(w.amount or 0))
    table.insert(out, whole(w.p))
    table.insert(out, whole(w.h))
    table.insert(out, whole(w.s))
  end
  return out
end
