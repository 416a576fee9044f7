-- renew renews the leases of a writer, takes returns and, after a loss, what it
-- asserts, and closes its accounts when it ends.
--
-- KEYS, ARGV: see lease.lua; then the writer's head, 1 when it asserts, 1 when it
--   retires, 1 when it may live and retires only if its ttl has passed, 1 when it
--   has nothing leased after this, 1 when it names some of its accounts, a count,
--   and per window: name, 1 when loose, end in ms (0 for never), expiry, and the
--   writer's granted, returned and held amounts.
-- Returns what grant returns; the word is OK, FENCED, or OPEN when the accounts
-- of a writer that retires stay, and its detail until when the root is frozen.
if last_epoch > epoch then return answer('FENCED', '0', '0', {}) end

local head, asserts, retires, lapsed, leaves = tonumber(take()), take() == '1', take() == '1', take() == '1', take() == '1'
if take() == '1' then asserts = false end
if lapsed and number('d:' .. writer) >= now then
  save_state()
  return answer('OPEN', '0', '0', {})
end
local open = retires and head > watermark
local windows, forgot = {}, false
for i = 1, tonumber(take()) do
  local w = open_window(i)
  w.granted, w.returned, w.held = tonumber(take()), tonumber(take()), tonumber(take())
  sweep(w)
  w.account = own(w)
  forgot = not retires and forgotten(w, w.account, w.granted, w.returned) or forgot
  windows[i] = w
end
look_for_loss(forgot)

-- In doubt what the ledger has is right as long as nobody knows better.
local replaces = asserts and (late or is_frozen() and not doubtful())

for _, w in ipairs(windows) do
  local a = w.account
  if replaces and not w.over then
    w.h = w.h + w.held - a.remains
    a.granted, a.returned, a.remains = w.granted, w.returned, w.held
  end
  take_back(w, a, w.returned)
  if a.granted > 0 or a.remains > 0 then write_account(w, writer, a) else table.insert(w.gone, 'a:' .. writer) end
  if retires and not open then
    w.h = w.h - a.remains
    local left = tonumber(w.set['o:' .. writer] or w.hash['o:' .. writer] or '0')
    if not w.loose then w.s = w.s - left end
    w.set['a:' .. writer], w.set['o:' .. writer] = nil, nil
    table.insert(w.gone, 'a:' .. writer)
    table.insert(w.gone, 'o:' .. writer)
  elseif retires then
    expire(w, a)
    if a.granted > 0 or a.remains > 0 then write_account(w, writer, a) end
  end
end
if asserts and (late or is_frozen()) then
  put('f:' .. writer, state.since)
  if replaces then put('n:' .. writer, whole(head)) end
  late = false
end
renew(leaves)
if retires then
  for _, field in ipairs({'d:', 'l:', 'f:', 'n:'}) do put(field .. writer, false) end
end
thaw()

local recall = retires and '0' or recalled()
save_state()
for _, w in ipairs(windows) do save_window(w) end
local frozen_until = is_frozen() and state['until'] or late and whole(now) or '0'
return answer(open and 'OPEN' or 'OK', frozen_until, recall, windows)
