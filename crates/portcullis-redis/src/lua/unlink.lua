-- Deletes a record, and writes to the stream of replication even when there is none: WAIT counts the replicas that have
-- the last write of its own connection, and on newer servers (Redis 7.4 is one) to delete nothing is no write, so that
-- every replica would count. KEYS: session.

if redis.call('UNLINK', KEYS[1]) == 0 then
  -- A full server does not refuse SET to a script that has begun to write.
  redis.call('SET', KEYS[1], '', 'PX', '1000')
  redis.call('UNLINK', KEYS[1])
end
return DONE
