-- Stores a new record, enters it in its user's index, and deletes the record of the session before if its current tag is
-- as expected; or does nothing.
-- KEYS: session before, session, index, and credentials if a version of them is named. ARGV: record, PX or PXAT, its
-- value, locator, expected tag, the channel on which ended sessions are told, locator of the session before, deadline,
-- and if there are conditions those as in index.lua. Answers DONE or APART.

local header = redis.call('GETRANGE', KEYS[1], '0', HEADER_END)
local is_readable = #header >= PAYLOAD and string.byte(header, VERSION + 1) == FORMAT
if not is_readable or string.sub(header, TAGS + 1, TAGS + 8) ~= ARGV[5] then
  --! record.lua
  -- Nobody but an earlier send of this has stored this record where the one before has gone.
  local new = redis.call('GETRANGE', KEYS[2], '0', HEADER_END)
  local sent = #header == 0 and readable(new) and carries(new, string.sub(ARGV[1], TAGS + 1, TAGS + 8))
  return sent and DONE or APART
end

-- In this order: see enter.lua.
local left = redis.call('PTTL', KEYS[3])
--! time.lua
--! enter.lua
local time, unit, life, deadline = now(), ARGV[2], ARGV[3], ARGV[8]
if ARGV[9] then
  --! index.lua
  if refusal(KEYS[3], KEYS[4], ARGV[4], 8, time) then return APART end
end

-- As in create.lua.
if (unit == 'PX' and time or 0) + life > tonumber(deadline) then unit, life = 'PXAT', math.max(1, deadline) end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', unit, life) then return APART end
enter(KEYS[3], deadline, ARGV[4], left, time)
redis.call('UNLINK', KEYS[1])
redis.pcall('PUBLISH', ARGV[6], ARGV[7])
return DONE
