-- Cancels a job: at once while nobody runs it, else by asking whoever does. The request stays in the record, so
-- that a job whose worker dies before it obeys is not run again.
--
-- KEYS: job, queued, running, pending
-- ARGV: id, seconds to keep a finished job, channel of finished jobs, channel of cancels
-- Returns "canceled" | "requested" | "finished" | "gone"
local job, queued, running, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, ttlSeconds, finishedChannel, cancelChannel = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local record = redis.call("HMGET", job, "state", "token")
local state = record[1]
if not state then
  return "gone"
end
if isFinished(state) then
  return "finished"
end
-- A divided job is nobody's while its parts run.
if state == "queued" or record[2] == "" then
  settle(job, id, { queued, running, pending }, finishedChannel, ttlSeconds, "canceled", "token", "")
  return "canceled"
end
redis.call("HSET", job, "cancelRequested", 1)
redis.call("PUBLISH", cancelChannel, id)
return "requested"
