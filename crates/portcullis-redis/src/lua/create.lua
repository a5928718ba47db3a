-- Stores a new record and enters it in its user's index, unless another record is there: then neither.
-- KEYS: session, index, and credentials if a version of them is named. ARGV: record, PX or PXAT, its value, locator,
-- then as in index.lua. Answers as that, or TAKEN.

-- In this order: see index.lua.
local left = redis.call('PTTL', KEYS[2])
local time = now()
-- The entry leaves the index at the deadline by this clock, and must not do so before its session.
local expiry = tonumber(ARGV[3])
if ARGV[2] == 'PX' then expiry = time + expiry end
expiry = math.max(1, math.min(expiry, ARGV[5]))

if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PXAT', expiry) then
  local header = header_of(KEYS[1])
  if not readable(header) or not carries(header, string.sub(ARGV[1], TAGS + 1, TAGS + 8)) then return TAKEN end
end
return enrol(KEYS[2], KEYS[3], ARGV[4], 5, left, time)
