-- Enters a session in its user's index. KEYS: index. ARGV: locator, deadline.

enrol(KEYS[1], ARGV[1], ARGV[2])
return DONE
