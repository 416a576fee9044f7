-- settle renews a writer, takes returns, takes its word after a loss, and closes
-- its accounts when it ends.
--
-- KEYS, ARGV: see lend.lua; then the writer's head, 1 when it asserts, 1 when it
--   retires, a count, and per window: name, 1 when loose, end in ms (0 for
--   never), expiry, and the writer's granted, returned and held amounts.
-- Returns what grant returns; the word is OK, FROZEN or FENCED.
if last_epoch > epoch then return answer('FENCED', '0', '0', {}) end

local head, asserts, retires = tonumber(take()), take() == '1', take() == '1'
local windows, forgot = {}, false
for i = 1, tonumber(take()) do
  local w = open_window(i)
  w.granted, w.returned, w.held = tonumber(take()), tonumber(take()), tonumber(take())
  sweep(w)
  w.account = own(w)
  forgot = forgot or (not retires and forgotten(w, w.account, w.granted))
  windows[i] = w
end
look_for_loss(forgot)

for _, w in ipairs(windows) do
  local a = w.account
  if is_frozen() and asserts and not w.over then
    w.h = w.h + w.held - a.remains
    a.granted, a.returned, a.remains = w.granted, w.returned, w.held
  end
  take_back(w, a, w.returned)
  if a.granted > 0 or a.remains > 0 then write_account(w, writer, a) end
  if retires and head <= watermark then
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
if is_frozen() and asserts then
  put('f:' .. writer, state.since)
  put('n:' .. writer, whole(head))
end
renew()
if retires then
  for _, field in ipairs({'d:', 'l:', 'f:', 'n:'}) do put(field .. writer, false) end
end
thaw()

local recall = retires and '0' or recalled()
save_state()
for _, w in ipairs(windows) do save_window(w) end
if is_frozen() then return answer('FROZEN', state['until'], recall, windows) end
return answer('OK', '0', recall, windows)
