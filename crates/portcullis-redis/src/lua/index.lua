-- A user's index: locators, by absolute deadline; and beside it the version of the user's credentials.

local function version_of(credentials)
  return redis.call('GET', credentials) or '0'
end

-- Those of the members that count: neither the one to be replaced, nor the evicted, which stand in ARGV from `first`
-- on.
local function others(index, time, replaced, first)
  local ended = {[replaced] = true}
  for at = first, #ARGV do ended[ARGV[at]] = true end
  local counted = {}
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, decimal(time), '+inf')) do
    if not ended[member] then counted[#counted + 1] = member end
  end
  return counted
end

-- ARGV from `first` on: deadline, limit, credential version, the session to be replaced, then the evicted; empty where
-- there is none. Answers DONE, STALE, or the members that leave no room.
local function enrol(index, credentials, locator, first)
  local deadline, limit, version, replaced = ARGV[first], ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
  if version ~= '' and version ~= version_of(credentials) then return STALE end
  local time = now()
  local full = false
  if limit ~= '' and tonumber(redis.call('ZSCORE', index, locator) or 0) < time then
    local counted = others(index, time, replaced, first + 4)
    if #counted >= tonumber(limit) then full = counted end
  end

  -- What grows comes first, so that a full server refuses before anything has changed. GT: a repetition that comes late
  -- must not shorten what a newer call has lengthened.
  if not full then redis.call('ZADD', index, 'GT', deadline, locator) end
  for at = first + 4, #ARGV do redis.call('ZREM', index, ARGV[at]) end
  redis.call('ZREMRANGEBYSCORE', index, '-inf', '(' .. decimal(time))
  local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')
  if last[2] then redis.call('PEXPIREAT', index, decimal(last[2])) end
  return full or DONE
end
