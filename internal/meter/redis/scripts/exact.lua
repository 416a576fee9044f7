-- Common to the scripts that add. Numbers in Lua are doubles, so amounts are
-- only compared here, below 2^53 where that is exact, and added by HINCRBY,
-- which gets the text as it came.
local LIMIT = 9000000000000000

-- exact returns the number that text stands for, or nil when HINCRBY would not
-- take it or it is beyond LIMIT.
local function exact(text)
  if #text > 17 or not string.match(text, '^%-?%d+$') then return nil end
  local n = tonumber(text)
  if math.abs(n) > LIMIT then return nil end
  return n
end

-- fits reports whether every delta can be added to the stored text beside it.
local function fits(stored, deltas)
  for i, delta in ipairs(deltas) do
    local old, add = exact(stored[i] or '0'), exact(delta)
    if not old or not add or math.abs(old + add) > LIMIT then return false end
  end
  return true
end
