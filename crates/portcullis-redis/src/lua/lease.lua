-- Gives a lease to whoever asks first. KEYS: lease. ARGV: who asks; for how long, in milliseconds.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return TAKEN
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return DONE
