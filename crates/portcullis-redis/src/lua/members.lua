-- The sessions in a user's index whose deadline has not passed by this clock. KEYS: index.

--! time.lua
return redis.call('ZRANGEBYSCORE', KEYS[1], now(), '+inf')
