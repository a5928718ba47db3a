-- Sets a mark, to stand for so long, or longer if it does, and tells of it. KEYS: mark. ARGV: how long, in milliseconds; the
-- channel, or nothing for nobody to be told; what is told before the time.

--! decimal.lua
local keep = tonumber(ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left < keep then
  -- This changes little, but a full server refuses SET only to a script that has not begun to write.
  redis.call('PEXPIRE', KEYS[1], keep)
  redis.call('SET', KEYS[1], '', 'PX', keep)
end
-- What is not told may go unseen: then the call fails.
if ARGV[2] ~= '' then
  redis.call('PUBLISH', ARGV[2], ARGV[3] .. decimal(math.max(left, keep)))
end
return DONE
