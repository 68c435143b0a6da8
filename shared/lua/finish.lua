-- Stores how an attempt ended, if that attempt still holds the job: a worker that lost its lock finds another
-- token here and is not believed. A cancel that was accepted before stands, whatever the attempt brings.
--
-- KEYS: job, queued, running, pending
-- ARGV: id, token, seconds to keep a finished job, channel of finished jobs, channel of news, state, and what is to be in
--       the record: names of fields, each with its value (`result` or `error`; of a part also `event`)
-- Returns 1 when the ending is this attempt's, also when it was stored before and only the reply was lost.
local job, queued, running, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, token, ttlSeconds, channel, newsChannel, ending = unpack(ARGV, 1, 6)

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
-- What a part brings is for its job, which goes on where the part alone was stopped.
local parent = redis.call("HGET", job, "parent")
local isForParent = ARGV[9] == "event" and parent and redis.call("HGET", parent, "state") == "running"
if cancelRequested and not isForParent then
  settle(job, id, sets, channel, ttlSeconds, "canceled")
else
  settle(job, id, sets, channel, ttlSeconds, ending, unpack(ARGV, 7))
end
if isForParent and isWatched(parent) then
  tellOfPart(parent, job)
  redis.call("PUBLISH", newsChannel, redis.call("HGET", parent, "id"))
end
return 1
