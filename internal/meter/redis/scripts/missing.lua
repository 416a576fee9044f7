-- missing notes that a row is gone. The row is among the declared keys, so that one that
-- is on its way to another node of a cluster does not count as gone.
--
-- KEYS: damage, marks, the day's index, the row. ARGV: its entry in the index.
if redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 1 and redis.call('EXISTS', KEYS[4]) == 0 then
  note_lost(KEYS[1], KEYS[2], KEYS[4])
end
return 1
