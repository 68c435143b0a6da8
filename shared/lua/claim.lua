-- Gives a job to an attempt, which from here on is the only one that may end it. Sent twice with the same token
-- (a connection that broke before the reply), it is the same attempt.
--
-- KEYS: job, queued, running, pending
-- ARGV: id, worker, token, seconds to keep a finished job, channel of finished jobs, channel of news
-- Returns {"claimed", request, attempt, createdAt, startedAt, "watched" or "", "divided" or "whole"} | {"canceled"} | {"finished"} | {"gone"}
local job, queued, running, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, worker, token, ttlSeconds, channel, newsChannel = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local record = redis.call("HMGET", job, "state", "cancelRequested", "token", "startedAt")
local state, cancelRequested, holder, startedAt = record[1], record[2], record[3], record[4]
if not state then
  return { "gone" }
end
if isFinished(state) then
  return { "finished" }
end
if cancelRequested then
  settle(job, id, { queued, running, pending }, channel, ttlSeconds, "canceled", "token", "")
  return { "canceled" }
end
local isDivided = redis.call("HEXISTS", job, "parts") == 1
if state ~= "running" or holder ~= token then
  if not isDivided or not startedAt then
    startedAt = now()
  end
  redis.call("HSET", job, "state", "running", "worker", worker, "token", token, "startedAt", startedAt)
  -- Who puts a divided job together goes on with the attempt that divided it.
  if not isDivided and redis.call("HINCRBY", job, "attempt", 1) > 1 then
    -- What an earlier attempt did counts for nothing.
    redis.call("DEL", eventsOf(job))
  end
  redis.call("ZREM", queued, id)
  redis.call("ZREM", pending, id)
  redis.call("ZADD", running, startedAt, id)
  keep(job)
  tellWatchers(job, id, newsChannel)
end
local claimed = redis.call("HMGET", job, "request", "attempt", "createdAt")
local phase = isDivided and "divided" or "whole"
return { "claimed", claimed[1], claimed[2], claimed[3], startedAt, isWatched(job) and "watched" or "", phase }
