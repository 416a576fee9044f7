-- Common to the scripts that change windows. A window is a hash: p posted, h
-- held and s suspense, and per writer a:WRITER, its account as
-- "epoch granted returned remains", with " x" behind it when the account has
-- expired, and o:WRITER, what older processes of the writer left unspent.
-- Always: h is the sum of what remains in accounts that have not expired; what
-- remains in expired ones, and all o, is part of s, but not in a loose window.
-- All amounts are below 2^53, where sums of doubles are exact.
local function whole(n) return string.format('%.0f', n) end

local function parse_account(text)
  local epoch, granted, returned, remains, x = string.match(text, '^(%d+) (%d+) (%d+) (%d+)( ?x?)$')
  return {
    epoch = tonumber(epoch), granted = tonumber(granted), returned = tonumber(returned),
    remains = tonumber(remains), expired = x == ' x',
  }
end

local function account_text(a)
  local text = whole(a.epoch) .. ' ' .. whole(a.granted) .. ' ' .. whole(a.returned) .. ' ' .. whole(a.remains)
  if a.expired then text = text .. ' x' end
  return text
end

-- is_lost reports whether a window that is not there should be: its entry in the
-- index has not ended.
local function is_lost(index, key, name, now)
  local ends = redis.call('ZSCORE', index, name)
  return ends and tonumber(ends) > now and redis.call('EXISTS', key) == 0
end

-- keep makes a window live until its expiry, and while it is in use. indexes are the
-- index of windows and its copy.
local function keep(indexes, key, name, expiry, now)
  local at = whole(math.max(tonumber(expiry), now + 7200))
  redis.call('EXPIREAT', key, at)
  for _, index in ipairs(indexes) do
    if redis.call('ZADD', index, at, name) == 1 then
      redis.call('ZREMRANGEBYSCORE', index, '-inf', whole(now))
    end
  end
end
