-- Begins an epoch, later than the one before by whatever clock, answers it, and tells of it. KEYS: epoch. ARGV: how long it is
-- kept, or longer if the one before is, in milliseconds; the channel, or nothing for nobody to be told; what is told before
-- the epoch and the time.

--! time.lua
local epoch = now()
local before = redis.call('GET', KEYS[1])
if before then
  before = tonumber(before)
  if not before or before >= LAST_TIME then
    return UNREADABLE
  end
  epoch = math.max(epoch, before + 1)
end
local keep = math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[1]))
-- This changes nothing, but a full server refuses SET only to a script that has not begun to write.
redis.call('PEXPIRE', KEYS[1], keep)
--! decimal.lua
redis.call('SET', KEYS[1], decimal(epoch), 'PX', keep)
-- What is not told may go unseen: then the call fails.
if ARGV[2] ~= '' then
  redis.call('PUBLISH', ARGV[2], ARGV[3] .. decimal(epoch) .. ':' .. decimal(keep))
end
return decimal(epoch)
