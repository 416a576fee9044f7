-- For wrk: POSTs the file BODY with the lines of HEADERS; with KEYS, a file of
-- credentials, one a line, the requests use one after the other.
local function read(name)
  local f = assert(io.open(name, "rb"))
  local text = f:read("*a")
  f:close()
  return text
end

local requests, at

function init()
  wrk.method, wrk.body = "POST", read(os.getenv("BODY"))
  for name, value in (os.getenv("HEADERS") or ""):gmatch("([^:\n]+): ([^\n]+)") do
    wrk.headers[name] = value
  end
  requests, at = {}, 0
  local keys = os.getenv("KEYS")
  for key in (keys and read(keys) or ""):gmatch("[^\n]+") do
    wrk.headers["Authorization"] = "Bearer " .. key
    requests[#requests + 1] = wrk.format()
  end
  if #requests == 0 then requests[1] = wrk.format() end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d\n", summary.requests, e.status, e.connect + e.read + e.write + e.timeout))
end
