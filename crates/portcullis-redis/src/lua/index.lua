-- A user's index: locators, by absolute deadline; and beside it the version of the user's credentials. For enrolments
-- with conditions; these stand in ARGV after the deadline, which is at `first`: limit, credential version and the
-- session to be replaced, each empty where there is none, then the evicted.

-- Those of the members that count: neither the one to be replaced, nor the evicted.
local function others(index, time, first)
  local ended = {}
  for at = first + 3, #ARGV do ended[ARGV[at]] = true end
  local counted = {}
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, time, '+inf')) do
    if not ended[member] then counted[#counted + 1] = member end
  end
  return counted
end

-- STALE, or the members that leave no room, or false.
local function refusal(index, credentials, locator, first, time)
  local limit, version = ARGV[first + 1], ARGV[first + 2]
  if version ~= '' and version ~= (redis.call('GET', credentials) or '0') then return STALE end
  -- One that is there already stays.
  if limit == '' or tonumber(redis.call('ZSCORE', index, locator) or 0) >= time then return false end
  local counted = others(index, time, first)
  return #counted >= tonumber(limit) and counted
end

-- Answers DONE, STALE, or the members that leave no room.
local function enrol(index, credentials, locator, first, left, time)
  local refused = refusal(index, credentials, locator, first, time)
  if refused == STALE then return STALE end
  if not refused then enter(index, ARGV[first], locator, left, time) end
  for at = first + 4, #ARGV do redis.call('ZREM', index, ARGV[at]) end
  return refused or DONE
end
