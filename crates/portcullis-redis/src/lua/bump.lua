-- Makes every version of a user's credentials stale, and answers the new one. KEYS: credentials. ARGV: how long it is
-- kept, or longer if the one before is, in milliseconds.

local keep = math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[1]))
-- This changes nothing, but a full server refuses INCR only to a script that has not begun to write.
redis.call('PEXPIRE', KEYS[1], keep)
local version = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], keep)
--! decimal.lua
return decimal(version)
