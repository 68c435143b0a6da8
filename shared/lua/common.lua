-- Put before every other script of this folder.
--
-- A job's record is a hash: id, kind, state, request, createdAt, startedAt, finishedAt, attempt, token, worker,
-- cancelRequested, watched, result, error, idempotencyKey. Keys that a script takes from a record rather than from KEYS
-- carry the same hash tag, so they live on the same node.

-- One clock for all machines: Redis's own, in milliseconds with three decimals.
local function now()
  local time = redis.call("TIME")
  return string.format("%.3f", tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000)
end

local function isFinished(state)
  return state == "done" or state == "failed" or state == "canceled"
end

-- Keeps a job, and the idempotency key that it was posted under, until it is settled.
local function keep(job)
  redis.call("PERSIST", job)
  local idempotencyKey = redis.call("HGET", job, "idempotencyKey")
  if idempotencyKey then
    redis.call("PERSIST", idempotencyKey)
  end
end

-- Stream: what happened in a job, where somebody watches it.
local function eventsOf(job)
  return job .. ":events"
end

-- Tells those who watch a job to look at it again, if there are any.
local function tellWatchers(job, id, newsChannel)
  if redis.call("HEXISTS", job, "watched") == 1 then
    redis.call("PUBLISH", newsChannel, id)
  end
end

-- Ends a job for good. Its request is not needed any more and may be megabytes.
local function settle(job, id, sets, channel, ttlSeconds, state, ...)
  redis.call("HSET", job, "state", state, "finishedAt", now(), ...)
  redis.call("HDEL", job, "request", "cancelRequested")
  redis.call("EXPIRE", job, ttlSeconds)
  redis.call("EXPIRE", eventsOf(job), ttlSeconds)
  local idempotencyKey = redis.call("HGET", job, "idempotencyKey")
  if idempotencyKey then
    redis.call("EXPIRE", idempotencyKey, ttlSeconds)
  end
  for _, set in ipairs(sets) do
    redis.call("ZREM", set, id)
  end
  redis.call("PUBLISH", channel, id)
end

-- What a blob counts against a quota: a file takes a block at least, and a record here.
local function blobCharge(bytes)
  return math.max(tonumber(bytes), 4096)
end

-- Ends a hold of a blob, and dooms the blob if it was the last one. Returns 1 when there was such a hold.
local function endHold(holds, held, charges, holders, doomed, holder, hex)
  if redis.call("ZREM", holds, holder .. " " .. hex) == 0 then
    return 0
  end
  local bytes = redis.call("HGET", held, hex)
  redis.call("HDEL", held, hex)
  if redis.call("HINCRBY", charges, holder, -blobCharge(bytes)) <= 0 then
    redis.call("HDEL", charges, holder)
  end
  if redis.call("HINCRBY", holders, hex, -1) <= 0 then
    redis.call("HDEL", holders, hex)
    redis.call("SADD", doomed, hex)
  end
  return 1
end
