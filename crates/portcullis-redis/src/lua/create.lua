-- Stores a new record and enters it in its user's index, unless another record is there: then neither.
-- KEYS: session, index. ARGV: record, time to live in ms, locator, deadline. Answers DONE or TAKEN.

-- The entry leaves the index at the deadline by this clock, and must not do so before its session.
local to_live = math.max(1, math.min(ARGV[2], ARGV[4] - now()))
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', decimal(to_live)) then
  local stored = redis.call('GET', KEYS[1])
  if not readable(stored) or not carries(stored, string.sub(ARGV[1], TAGS + 1, TAGS + 8)) then return TAKEN end
end
enrol(KEYS[2], ARGV[3], ARGV[4])
return DONE
