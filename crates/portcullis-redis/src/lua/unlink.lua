-- Deletes a record, and writes to the stream of replication even when there is none: WAIT counts replicas up to the last
-- write of its connection, which from Redis 7.2 on is none at all when nothing was there to delete. KEYS: session.

if redis.call('UNLINK', KEYS[1]) == 0 then
  -- A full server does not refuse SET to a script that has begun to write.
  redis.call('SET', KEYS[1], '', 'PX', '1000')
  redis.call('UNLINK', KEYS[1])
end
return DONE
