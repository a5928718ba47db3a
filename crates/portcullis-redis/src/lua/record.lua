-- The header of a stored record. The offsets (counted from 0) and FORMAT are written in by script.rs.

local function readable(header)
  return #header >= PAYLOAD and string.byte(header, VERSION + 1) == FORMAT
end

-- What an unreadable header means.
local function missing(key)
  if redis.call('GET', key) then return UNREADABLE end
  return GONE
end

-- Whether the write named `tag` made the record, or one of the three before it.
local function carries(header, tag)
  for at = TAGS, TAGS + 24, 8 do
    if string.sub(header, at + 1, at + 8) == tag then return true end
  end
  return false
end

-- As a double: exact below 2^53, which is beyond every time that is written back.
local function number(header, at)
  return (struct.unpack('>I8', header, at + 1))
end
