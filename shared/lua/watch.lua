-- Asks whoever runs a job, or will, to tell what happens in it. The request stays in the record, so that every later
-- attempt knows of it from its claim.
--
-- KEYS: job
-- ARGV: id, channel of requests to watch
-- Returns 1, or 0 when there is no such job.
local job = KEYS[1]
local id, watchChannel = ARGV[1], ARGV[2]

local record = redis.call("HMGET", job, "state", "parts")
local state, parts = record[1], tonumber(record[2] or 0)
if not state then
  return 0
end
if isFinished(state) or redis.call("HSETNX", job, "watched", 1) == 0 or state ~= "running" then
  return 1
end
redis.call("PUBLISH", watchChannel, id)
-- Who runs a part tells everything of it. Of the others nobody else would; those that were stopped or lost, whoever puts
-- the job together.
for number = 1, parts do
  local part = partOf(job, number)
  local partState = redis.call("HGET", part, "state")
  if partState == "queued" or partState == "done" then
    tellOfPart(job, part)
  end
end
return 1
