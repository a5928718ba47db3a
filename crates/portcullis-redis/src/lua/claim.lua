-- Claims a name. KEYS: name. ARGV: the claim's own tag, how long, in milliseconds.

if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return DONE
end
-- Sent again, or somebody else's.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return DONE
end
return TAKEN
