-- Stores how an attempt ended, if that attempt still holds the job: a worker that lost its lock finds another
-- token here and is not believed. A cancel that was accepted before stands, whatever the attempt brings.
--
-- KEYS: job, queued, running, pending
-- ARGV: id, token, seconds to keep a finished job, channel of finished jobs, state, name of a field, its value
--       (the field is `result` or `error`; without one both are absent)
-- Returns 1 when the ending is this attempt's, also when it was stored before and only the reply was lost.
local job, queued, running, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, token, ttlSeconds, channel, ending = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local record = redis.call("HMGET", job, "state", "token", "cancelRequested")
local state, holder, cancelRequested = record[1], record[2], record[3]
if not state or holder ~= token then
  return 0
end
if isFinished(state) then
  return 1
end
if state ~= "running" then
  return 0
end
local sets = { queued, running, pending }
if cancelRequested then
  settle(job, id, sets, channel, ttlSeconds, "canceled")
elseif ARGV[6] then
  settle(job, id, sets, channel, ttlSeconds, ending, ARGV[6], ARGV[7])
else
  settle(job, id, sets, channel, ttlSeconds, ending)
end
return 1
