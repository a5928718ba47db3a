-- Answers what an issuer was last heard to publish, after the server's clock. KEYS: set. ARGV: how long it may be.

local set = redis.call('GET', KEYS[1])
if not set then
  return GONE
end
if #set > tonumber(ARGV[1]) then
  return UNREADABLE
end
--! time.lua
--! decimal.lua
return {decimal(now()), set}
