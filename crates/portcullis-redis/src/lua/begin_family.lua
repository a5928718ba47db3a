-- Begins a family of refresh tokens, unless another is there, one of its name was revoked, or its user's epoch is another.
-- KEYS: family, its mark, its user's epoch. ARGV: secret, how long it lives, and may lie idle, in milliseconds, payload, and
-- the expected epoch in decimal, empty if it does not matter. Answers TAKEN, STALE, or the epoch in decimal.

local record = redis.call('GET', KEYS[1])
if record then
  -- Nobody but an earlier send of this has the secret.
  local sent = #record >= FAMILY_SECRETS + 64 and string.byte(record) == FAMILY_FORMAT
    and string.sub(record, FAMILY_SECRETS + 1, FAMILY_SECRETS + 32) == ARGV[1]
  if not sent then return TAKEN end
  --! decimal.lua
  return decimal((struct.unpack('>i8', record, FAMILY_EPOCH + 1)))
end

local known = redis.call('MGET', KEYS[2], KEYS[3])
local epoch = known[2] or '0'
if known[1] or ARGV[5] ~= '' and ARGV[5] ~= epoch then return STALE end
if not tonumber(epoch) then return UNREADABLE end

--! time.lua
local time, absolute, idle = now(), tonumber(ARGV[2]), tonumber(ARGV[3])
local numbers = struct.pack('>i1i8i8i8i8i8i8', FAMILY_FORMAT, 0, time, time + absolute, idle, tonumber(epoch), time)
redis.call('SET', KEYS[1], numbers .. ARGV[1] .. ARGV[1] .. ARGV[4], 'PX', math.min(idle, absolute))
return epoch
