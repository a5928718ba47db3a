-- Replaces a record whose current tag is as expected: compare and set.
-- KEYS: session. ARGV: expected tag, new record. Answers GONE, UNREADABLE, DONE, or the record that is in the way.

local sub, header = string.sub, redis.call('GETRANGE', KEYS[1], '0', HEADER_END)
local is_readable = #header >= PAYLOAD and string.byte(header, VERSION + 1) == FORMAT

if is_readable and sub(header, TAGS + 1, TAGS + 8) == ARGV[1] then
  -- Only a touch moves the idle deadline, and one may have come since this record was read.
  local record, deadline = ARGV[2], sub(header, IDLE_DEADLINE + 1, IDLE_DEADLINE + 8)
  if sub(record, IDLE_DEADLINE + 1, IDLE_DEADLINE + 8) ~= deadline then
    record = sub(record, 1, IDLE_DEADLINE) .. deadline .. sub(record, IDLE_DEADLINE + 9)
  end
  redis.call('SET', KEYS[1], record, 'KEEPTTL')
  return DONE
end

--! record.lua
if not is_readable then return missing(KEYS[1]) end
if carries(header, sub(ARGV[2], TAGS + 1, TAGS + 8)) then return DONE end
return redis.call('GET', KEYS[1])
