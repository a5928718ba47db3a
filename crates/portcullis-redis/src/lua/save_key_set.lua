-- Keeps what an issuer was heard to publish, unless the one that is there is younger. KEYS: set. ARGV: its age; for how long
-- it holds; its tag; the document; for how long it is kept. Times in milliseconds.

--! time.lua
local at = now()
local asked = at - ARGV[1]
local before = tonumber(redis.call('GETRANGE', KEYS[1], 0, 15))
-- One of the future is nobody's: it would stay for ever.
if before and before > asked and before <= at then
  return DONE
end
redis.call('SET', KEYS[1], string.format('%016.0f%016.0f', asked, ARGV[2]) .. ARGV[3] .. ARGV[4], 'PX', ARGV[5])
return DONE
