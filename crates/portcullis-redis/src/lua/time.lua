-- The server's clock, in milliseconds since the UNIX epoch. As an argument of a command Redis writes such a number out,
-- and at less cost than Lua.

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- For answers: Lua would write a large number with an exponent.
local function decimal(number)
  return string.format('%.0f', number)
end
