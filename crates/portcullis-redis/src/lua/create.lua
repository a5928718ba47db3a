-- Stores a new record and enters it in its user's index, unless another record is there: then neither.
-- KEYS: session, index, credentials. ARGV: record, PX or PXAT, its value, locator, then as in index.lua. Answers as
-- that, or TAKEN.

-- The entry leaves the index at the deadline by this clock, and must not do so before its session.
local expiry = tonumber(ARGV[3])
if ARGV[2] == 'PX' then expiry = now() + expiry end
expiry = math.max(1, math.min(expiry, ARGV[5]))

if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PXAT', decimal(expiry)) then
  local stored = redis.call('GET', KEYS[1])
  if not readable(stored) or not carries(stored, string.sub(ARGV[1], TAGS + 1, TAGS + 8)) then return TAKEN end
end
return enrol(KEYS[2], KEYS[3], ARGV[4], 5)
