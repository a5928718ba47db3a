-- Enters a session in its user's index. KEYS: index, credentials. ARGV: locator, then as in index.lua.

return enrol(KEYS[1], KEYS[2], ARGV[1], 2)
