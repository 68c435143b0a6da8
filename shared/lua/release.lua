-- Gives a job back that its attempt did not end: the worker drains, or set-up failed and it is to be retried.
--
-- KEYS: job, queued, running, pending
-- ARGV: id, token, seconds to keep a finished job, channel of finished jobs, channel of news
-- Returns "released" | "canceled" (a cancel was waiting: do not retry) | "lost" (another attempt holds it)
local job, queued, running, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, token, ttlSeconds, channel, newsChannel = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local record = redis.call("HMGET", job, "state", "token", "cancelRequested", "createdAt")
local state, holder, cancelRequested, createdAt = record[1], record[2], record[3], record[4]
if not state or holder ~= token then
  return "lost"
end
if state == "canceled" then
  return "canceled"
end
if isFinished(state) then
  return "lost"
end
if cancelRequested then
  settle(job, id, { queued, running, pending }, channel, ttlSeconds, "canceled")
  return "canceled"
end
redis.call("HSET", job, "state", "queued")
redis.call("HDEL", job, "startedAt", "worker")
redis.call("ZREM", running, id)
redis.call("ZADD", queued, createdAt, id)
tellWatchers(job, id, newsChannel)
return "released"
