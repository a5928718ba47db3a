-- The server's clock, in milliseconds since the UNIX epoch. As an argument of a command Redis writes such a number out,
-- and at less cost than Lua.

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
