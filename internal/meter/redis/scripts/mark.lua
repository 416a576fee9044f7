-- mark reads a writer's watermark, and carries facts on the way.
--
-- KEYS: marks, and what share adds. ARGV: writer, and what share adds.
-- Returns the watermark, '' for none, and what share adds.
return share({redis.call('HGET', KEYS[1], 'w:' .. ARGV[1]) or ''})
