-- Puts an entry into an index. `left` is how long the index has yet, asked before the `time` was.
local function enter(index, deadline, locator, left, time)
  -- What grows comes first, so that a full server refuses before anything has changed. GT: a repetition that comes late
  -- must not shorten what a newer call has lengthened.
  redis.call('ZADD', index, 'GT', deadline, locator)
  if left == -2 then
    -- Nothing else is in an index that was not there.
    redis.call('PEXPIREAT', index, deadline)
    return DONE
  end
  redis.call('ZREMRANGEBYSCORE', index, '-inf', time - 1)
  -- The index lives at least as long as each of its entries, because it is never given less time than it had: `left` was
  -- asked first, and so is no shorter than at `time`. One that never expires (-1) may hold what outlives this entry, and
  -- stays as it is.
  if left ~= -1 then redis.call('PEXPIREAT', index, math.max(deadline, time + left)) end
  return DONE
end
