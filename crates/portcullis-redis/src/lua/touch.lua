-- Moves the idle deadline and the key's expiry forward. KEYS: session. Answers GONE, UNREADABLE, or the idle deadline
-- in decimal.

--! record.lua
--! time.lua
--! decimal.lua
local header = redis.call('GETRANGE', KEYS[1], '0', HEADER_END)
local left = redis.call('PTTL', KEYS[1])
if left == -2 then return GONE end
if not readable(header) then return UNREADABLE end

local time = now()
local stored = number(header, IDLE_DEADLINE)
local target = math.min(time + number(header, IDLE), number(header, ABSOLUTE_DEADLINE), LAST_TIME)

-- An expiry in the past would delete the key here, and SETRANGE would then make one that never expires.
if target <= time then return decimal(stored) end

if target > stored then
  -- The expiry first: a full server refuses SETRANGE, but not to a script that has begun to write.
  redis.call('PEXPIREAT', KEYS[1], target)
  redis.call('SETRANGE', KEYS[1], IDLE_DEADLINE, struct.pack('>I8', target))
  return decimal(target)
end

-- The first deadline is by the application's clock. If that is ahead, the key needs its time all the same.
if target > time + left then redis.call('PEXPIREAT', KEYS[1], target) end
return decimal(stored)
