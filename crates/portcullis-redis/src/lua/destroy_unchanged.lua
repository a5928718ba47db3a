-- Deletes a record whose current tag is as expected: compare and delete.
-- KEYS: session, receipt. ARGV: expected tag, this write's tag, how long the receipt is kept, in milliseconds, the
-- channel on which ended sessions are told, locator. Answers GONE, UNREADABLE, DONE, or the record that is in the way.

local header = redis.call('GETRANGE', KEYS[1], '0', HEADER_END)
local is_readable = #header >= PAYLOAD and string.byte(header, VERSION + 1) == FORMAT

if is_readable and string.sub(header, TAGS + 1, TAGS + 8) == ARGV[1] then
  -- For this write's own resend. A full server refuses it, which must not keep the session alive.
  redis.pcall('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
  redis.call('UNLINK', KEYS[1])
  -- Without the permission to publish it has ended all the same; who watches finds out more slowly.
  redis.pcall('PUBLISH', ARGV[4], ARGV[5])
  return DONE
end

--! record.lua
if is_readable then return redis.call('GET', KEYS[1]) end
local why = missing(KEYS[1])
if why == GONE and redis.call('GET', KEYS[2]) == ARGV[2] then return DONE end
return why
