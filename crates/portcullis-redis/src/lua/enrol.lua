-- Enters a session in its user's index. KEYS: index, and credentials if a version of them is named. ARGV: locator, then
-- as in index.lua.

-- In this order: see index.lua.
local left = redis.call('PTTL', KEYS[1])
return enrol(KEYS[1], KEYS[2], ARGV[1], 2, left, now())
