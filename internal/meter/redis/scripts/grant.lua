-- grant leases parts of windows, all or nothing.
--
-- KEYS, ARGV: see lease.lua; then a count, and per window: name, 1 when loose,
--   end in ms (0 for never), expiry, limit, and the writer's granted, returned,
--   least and welcome amounts.
-- Returns a word, its detail, whether idle leases are recalled, the generation, and
-- per window: the amount granted, posted, held, suspense.
if last_epoch > epoch then return answer('FENCED', '0', '0', {}) end

local windows, forgot = {}, false
for i = 1, tonumber(take()) do
  local w = open_window(i)
  w.limit, w.granted, w.returned, w.least, w.welcome = tonumber(take()), tonumber(take()), tonumber(take()), tonumber(take()), tonumber(take())
  sweep(w)
  w.account = own(w)
  forgot = forgotten(w, w.account, w.granted, w.returned) or forgot
  windows[i] = w
end
look_for_loss(forgot)
thaw()
if is_frozen() or late and forgot then
  save_state()
  return answer('FROZEN', is_frozen() and state['until'] or whole(now), '0', windows)
end

local refused
for i, w in ipairs(windows) do
  local a = w.account
  take_back(w, a, w.returned)
  local found = math.max(0, a.granted - w.granted) -- granted before, its reply was lost
  local room = w.limit - math.max(0, w.p) - w.h - math.max(0, w.s)
  if w.least - found > math.max(0, room) then
    refused = refused or i
  end
  local more = math.max(0, math.min(w.welcome - found, room))
  w.amount, w.more = found + more, more
end
if refused then
  put('refusals', whole(number('refusals') + 1))
  put('recall', whole(now + 2000))
  put('l:' .. writer, state.refusals)
  save_state()
  for _, w in ipairs(windows) do w.amount = 0 end
  return answer('REFUSED', whole(refused - 1), '0', windows)
end

local recall = recalled()
renew() -- only who gets something must be heard after a loss
save_state()
for _, w in ipairs(windows) do
  local a = w.account
  a.granted, a.remains, w.h = a.granted + w.more, a.remains + w.more, w.h + w.more
  write_account(w, writer, a)
  save_window(w)
end
return answer('OK', '0', recall, windows)
