-- Ends a job that nobody will run any more, whoever held it. A job that is finished stays as it is.
--
-- KEYS: job, queued, running, pending
-- ARGV: id, seconds to keep a finished job, channel of finished jobs, error
-- Returns 1 when it was ended by this call.
local job, queued, running, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, ttlSeconds, channel, failure = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local record = redis.call("HMGET", job, "state", "cancelRequested")
local state, cancelRequested = record[1], record[2]
local sets = { queued, running, pending }
if not state then
  for _, set in ipairs(sets) do
    redis.call("ZREM", set, id)
  end
  return 0
end
if isFinished(state) then
  return 0
end
if cancelRequested then
  settle(job, id, sets, channel, ttlSeconds, "canceled", "token", "")
else
  settle(job, id, sets, channel, ttlSeconds, "failed", "token", "", "error", failure)
end
return 1
