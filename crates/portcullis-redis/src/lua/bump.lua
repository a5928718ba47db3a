-- Makes every version of a user's credentials stale, and answers the new one. KEYS: credentials. ARGV: how long it is
-- kept, in milliseconds.

-- This changes nothing, but a full server refuses INCR only to a script that has not begun to write.
redis.call('PEXPIRE', KEYS[1], ARGV[1])
local version = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
--! decimal.lua
return decimal(version)
