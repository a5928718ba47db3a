-- Replaces a record whose current tag is as expected: compare and set.
-- KEYS: session. ARGV: expected tag, new record. Answers GONE, UNREADABLE, DONE, or the record that is in the way.

local header = header_of(KEYS[1])
if not readable(header) then return missing(KEYS[1]) end
if string.sub(header, TAGS + 1, TAGS + 8) == ARGV[1] then
  -- Only a touch moves the idle deadline, and one may have come since this record was read.
  local record, deadline = ARGV[2], string.sub(header, IDLE_DEADLINE + 1, IDLE_DEADLINE + 8)
  if string.sub(record, IDLE_DEADLINE + 1, IDLE_DEADLINE + 8) ~= deadline then
    record = string.sub(record, 1, IDLE_DEADLINE) .. deadline .. string.sub(record, IDLE_DEADLINE + 9)
  end
  redis.call('SET', KEYS[1], record, 'KEEPTTL')
  return DONE
end
if carries(header, string.sub(ARGV[2], TAGS + 1, TAGS + 8)) then return DONE end
return redis.call('GET', KEYS[1])
