-- Deletes a session and takes it out of its user's index. KEYS: session, index. ARGV: the channel on which ended
-- sessions are told, locator. Answers DONE, or APART if the entry is to be taken out, or found wrong, by itself.

redis.call('UNLINK', KEYS[1])
-- Without the permission to publish it has ended all the same; who watches finds out more slowly.
redis.pcall('PUBLISH', ARGV[1], ARGV[2])
-- An error would say that the session has not ended.
if type(redis.pcall('ZREM', KEYS[2], ARGV[2])) == 'table' then return APART end
return DONE
