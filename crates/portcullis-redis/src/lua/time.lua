-- The server's clock, in milliseconds since the UNIX epoch.

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lua would write a large number with an exponent.
local function decimal(number)
  return string.format('%.0f', number)
end
