-- Ends a lease. KEYS: lease. ARGV: whose it is.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('UNLINK', KEYS[1])
end
return DONE
