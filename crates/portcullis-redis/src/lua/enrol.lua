-- Enters a session in its user's index. KEYS: index, and credentials if a version of them is named. ARGV: locator,
-- deadline, and if there are conditions those as in index.lua. Answers as that.

-- In this order: see enter.lua.
local left = redis.call('PTTL', KEYS[1])
--! time.lua
--! enter.lua
local time = now()
if not ARGV[3] then return enter(KEYS[1], ARGV[2], ARGV[1], left, time) end
--! index.lua
return enrol(KEYS[1], KEYS[2], ARGV[1], 2, left, time)
