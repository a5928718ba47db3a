-- Rotates a family of refresh tokens, or ends it. KEYS: family, its mark, its user's epoch, and everyone's if it is on this
-- server. ARGV: the generation that is presented, its secret, the secret that follows, the grace and how long the access
-- tokens are revoked for, in milliseconds, and if there is no key for it everyone's epoch; else the channel on which a
-- revocation is told, and what is told before the time. Answers GONE, STALE if it was
-- revoked, UNREADABLE, TAKEN and the payload if the token was used before, or DONE, the current generation, whether it is
-- new, the user's epoch, how long is left, in milliseconds, and the payload.

local record = redis.call('GET', KEYS[1])
if not record then return GONE end
if #record < FAMILY_SECRETS + 64 or string.byte(record) ~= FAMILY_FORMAT then return UNREADABLE end
local _, generation, rotated, absolute, idle, epoch, begun = struct.unpack('>i1i8i8i8i8i8i8', record)
local current = string.sub(record, FAMILY_SECRETS + 1, FAMILY_SECRETS + 32)
local payload = string.sub(record, FAMILY_SECRETS + 65)

local known = redis.call('MGET', unpack(KEYS, 2))
local user, everyone = tonumber(known[2] or '0'), tonumber(known[3] or not KEYS[4] and ARGV[6] or '0')
if not user or not everyone then return UNREADABLE end
if known[1] or user ~= 0 and user ~= epoch or everyone ~= 0 and begun <= everyone then
  redis.call('UNLINK', KEYS[1])
  return STALE
end

--! time.lua
--! decimal.lua
local time, presented = now(), tonumber(ARGV[1])
local function answer(number, is_new, left)
  return { DONE, decimal(number), is_new, decimal(user), decimal(left), payload }
end

-- A generation that is still to come was begun by us, and lost by a failover.
if presented > generation or presented == generation and ARGV[2] == current then
  local left = math.min(idle, absolute - time)
  if left <= 0 then return GONE end
  -- This changes nothing that counts, but a full server refuses SET only to a script that has not begun to write.
  redis.call('PEXPIRE', KEYS[1], left)
  local numbers = struct.pack('>i1i8i8i8i8i8i8', FAMILY_FORMAT, presented + 1, time, absolute, idle, epoch, begun)
  redis.call('SET', KEYS[1], numbers .. ARGV[3] .. ARGV[2] .. payload, 'PX', left)
  return answer(presented + 1, 1, left)
end

local previous = string.sub(record, FAMILY_SECRETS + 33, FAMILY_SECRETS + 64)
if presented + 1 == generation and ARGV[2] == previous and time < rotated + tonumber(ARGV[4]) then
  return answer(generation, 0, math.min(rotated + idle, absolute) - time)
end

-- As above; the family has ended by its expiry already, should the rest not come to pass. Then the mark, of which there is
-- none: what has ended without it would leave its access tokens good.
redis.call('PEXPIRE', KEYS[1], 1)
redis.call('SET', KEYS[2], '', 'PX', ARGV[5])
if KEYS[4] then redis.call('PUBLISH', ARGV[6], ARGV[7] .. ARGV[5]) end
redis.call('UNLINK', KEYS[1])
return { TAKEN, payload }
