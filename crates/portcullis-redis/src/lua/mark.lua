-- Sets a mark, to stand for so long, or longer if it does. KEYS: mark. ARGV: how long, in milliseconds.

if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  -- This changes little, but a full server refuses SET only to a script that has not begun to write.
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
end
return DONE
