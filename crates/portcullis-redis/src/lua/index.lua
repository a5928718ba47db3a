-- A user's index: locators, by absolute deadline; and beside it the version of the user's credentials.

-- Those of the members that count: neither the one to be replaced, nor the evicted, which stand in ARGV from `first`
-- on.
local function others(index, time, replaced, first)
  local ended = {[replaced] = true}
  for at = first, #ARGV do ended[ARGV[at]] = true end
  local counted = {}
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, time, '+inf')) do
    if not ended[member] then counted[#counted + 1] = member end
  end
  return counted
end

-- The members that leave no room for this one, or false.
local function crowd(index, locator, limit, replaced, first, time)
  -- One that is there already stays.
  if limit == '' or tonumber(redis.call('ZSCORE', index, locator) or 0) >= time then return false end
  local counted = others(index, time, replaced, first)
  return #counted >= tonumber(limit) and counted
end

-- ARGV from `first` on: deadline; and if there are conditions, limit, credential version and the session to be
-- replaced, each empty where there is none, then the evicted. `left` is how long the index has yet, asked before the
-- `time` was. Answers DONE, STALE, or the members that leave no room.
local function enrol(index, credentials, locator, first, left, time)
  local deadline, limit, version, full = ARGV[first], ARGV[first + 1], ARGV[first + 2], false
  if limit then
    if version ~= '' and version ~= (redis.call('GET', credentials) or '0') then return STALE end
    full = crowd(index, locator, limit, ARGV[first + 3], first + 4, time)
  end

  -- What grows comes first, so that a full server refuses before anything has changed. GT: a repetition that comes late
  -- must not shorten what a newer call has lengthened.
  if not full then redis.call('ZADD', index, 'GT', deadline, locator) end
  for at = first + 4, #ARGV do redis.call('ZREM', index, ARGV[at]) end
  -- Nothing else is in an index that was not there (-2).
  if left ~= -2 then redis.call('ZREMRANGEBYSCORE', index, '-inf', time - 1) end
  -- The index lives at least as long as each of its entries, because it is never given less time than it had: `left` was
  -- asked first, and so is no shorter than at `time`. One that never expires (-1) may hold what outlives this entry, and
  -- stays as it is.
  if not full and left ~= -1 then redis.call('PEXPIREAT', index, math.max(deadline, time + left)) end
  return full or DONE
end
