-- A user's index: locators, by absolute deadline.

-- What grows comes first, so that a full server refuses before anything has changed. GT: a repetition that comes late
-- must not shorten what a newer call has lengthened.
local function enrol(index, locator, deadline)
  redis.call('ZADD', index, 'GT', deadline, locator)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', '(' .. decimal(now()))
  local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')
  if last[2] then redis.call('PEXPIREAT', index, decimal(last[2])) end
end
