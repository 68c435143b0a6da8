-- Asks whoever runs a job, or will, to tell what happens in it. The request stays in the record, so that every later
-- attempt knows of it from its claim.
--
-- KEYS: job
-- ARGV: id, channel of requests to watch
-- Returns 1, or 0 when there is no such job.
local job = KEYS[1]
local id, watchChannel = ARGV[1], ARGV[2]

local state = redis.call("HGET", job, "state")
if not state then
  return 0
end
if not isFinished(state) and redis.call("HSETNX", job, "watched", 1) == 1 and state == "running" then
  redis.call("PUBLISH", watchChannel, id)
end
return 1
