-- For answers: Lua would write a large number with an exponent.
local function decimal(number)
  return string.format('%.0f', number)
end
