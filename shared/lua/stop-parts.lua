-- Stops the other parts of a job: those that wait are canceled, those that run are told to end.
--
-- KEYS: part, job, queued, running, pending
-- ARGV: id of the job, id of the part, token, seconds to keep a finished job, channel of finished jobs
-- Returns 1, or 0 when another attempt has the part.
local part, job, queued, running, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, partId, token, ttlSeconds, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local record = redis.call("HMGET", part, "state", "token")
if record[1] ~= "running" or record[2] ~= token then
  return 0
end
stopParts(job, id, { queued, running, pending }, channel, ttlSeconds, partId)
return 1
