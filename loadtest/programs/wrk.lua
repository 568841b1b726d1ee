-- Sends the requests of a file in turn, and prints what wrk measured as a line of JSON.

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local requests, place = {}, 0

function init(args)
  local file = assert(io.open(os.getenv("LEXPORT_REQUESTS"), "rb"))
  local length = file:read("*l")
  while length do
    requests[#requests + 1] = file:read(tonumber(length))
    length = file:read("*l")
  end
  file:close()
  -- Two threads do not send the same text at the same time.
  place = number * 997 % #requests
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function done(summary, latency)
  local points = {}
  for point in string.gmatch(os.getenv("LEXPORT_PERCENTS"), "%S+") do
    points[#points + 1] = string.format("[%s, %.0f]", point, latency:percentile(tonumber(point)))
  end
  local fields = { "requests", "microseconds", "max", "status", "connect", "read", "write", "timeout" }
  local values = { requests = summary.requests, microseconds = summary.duration, max = latency.max }
  for name, count in pairs(summary.errors) do
    values[name] = count
  end
  local parts = {}
  for _, name in ipairs(fields) do
    parts[#parts + 1] = string.format('"%s": %.0f', name, values[name])
  end
  io.write("\n{", table.concat(parts, ", "), ', "percentiles": [', table.concat(points, ", "), "]}\n")
end
