-- Replaces a record whose current tag is as expected: compare and set.
-- KEYS: session. ARGV: expected tag, new record. Answers GONE, UNREADABLE, DONE, or the record that is in the way.

local stored = redis.call('GET', KEYS[1])
if not stored then return GONE end
if not readable(stored) then return UNREADABLE end
if string.sub(stored, TAGS + 1, TAGS + 8) == ARGV[1] then
  -- Only a touch moves the idle deadline, and one may have come since this record was read.
  local saved = string.sub(ARGV[2], 1, IDLE_DEADLINE)
    .. string.sub(stored, IDLE_DEADLINE + 1, IDLE_DEADLINE + 8)
    .. string.sub(ARGV[2], IDLE_DEADLINE + 9)
  redis.call('SET', KEYS[1], saved, 'KEEPTTL')
  return DONE
end
if carries(stored, string.sub(ARGV[2], TAGS + 1, TAGS + 8)) then return DONE end
return stored
