-- Stores a new record and enters it in its user's index, unless another record is there: then neither.
-- KEYS: session, index, and credentials if a version of them is named. ARGV: record, PX or PXAT, its value, locator,
-- deadline, and if there are conditions those as in index.lua. Answers TAKEN, DONE, STALE, or the members that leave no
-- room.

-- In this order: see enter.lua.
local left = redis.call('PTTL', KEYS[2])
--! time.lua
local time, unit, life, deadline = now(), ARGV[2], ARGV[3], ARGV[5]
-- The entry leaves the index at the deadline by this clock, and must not do so before its session.
if (unit == 'PX' and time or 0) + life > tonumber(deadline) then unit, life = 'PXAT', math.max(1, deadline) end

if not redis.call('SET', KEYS[1], ARGV[1], 'NX', unit, life) then
  --! record.lua
  local header = redis.call('GETRANGE', KEYS[1], '0', HEADER_END)
  if not readable(header) or not carries(header, string.sub(ARGV[1], TAGS + 1, TAGS + 8)) then return TAKEN end
end
--! enter.lua
if not ARGV[6] then return enter(KEYS[2], deadline, ARGV[4], left, time) end
--! index.lua
return enrol(KEYS[2], KEYS[3], ARGV[4], 5, left, time)
