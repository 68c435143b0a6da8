-- Writes the record of a new job, unless the queue is full or the job was posted before.
--
-- The record expires by itself until it is confirmed: if the API dies before BullMQ has the job, nothing was
-- accepted, and nothing of it remains, neither here nor in the depth of the queue.
--
-- KEYS: job, queued, pending, idempotency key (the job's own key when there is none)
-- ARGV: id, kind, request, body hash, queue limit, milliseconds to confirm, prefix of job keys, "watched" or nothing
-- Returns {"accepted", id, createdAt} | {"repeated", id, "pending" or "confirmed"} | {"conflict"} | {"full"}
local job, queued, pending, idempotency = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, kind, request, bodyHash = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local limit, pendingMs, jobPrefix = tonumber(ARGV[5]), ARGV[6], ARGV[7]
local time = now()

redis.call("ZREMRANGEBYSCORE", pending, "-inf", time)
if idempotency ~= job then
  local first = redis.call("HMGET", idempotency, "id", "bodyHash")
  if first[1] and redis.call("EXISTS", jobPrefix .. first[1]) == 1 then
    if first[2] ~= bodyHash then
      return { "conflict" }
    end
    return { "repeated", first[1], redis.call("ZSCORE", pending, first[1]) and "pending" or "confirmed" }
  end
end
if redis.call("ZCARD", queued) + redis.call("ZCARD", pending) >= limit then
  return { "full" }
end

redis.call("HSET", job, "id", id, "kind", kind, "state", "queued", "request", request, "createdAt", time, "attempt", 0)
if ARGV[8] == "watched" then
  redis.call("HSET", job, "watched", 1)
end
redis.call("PEXPIRE", job, pendingMs)
redis.call("ZADD", pending, time + pendingMs, id)
if idempotency ~= job then
  redis.call("HSET", job, "idempotencyKey", idempotency)
  redis.call("HSET", idempotency, "id", id, "bodyHash", bodyHash)
  redis.call("PEXPIRE", idempotency, pendingMs)
end
return { "accepted", id, time }
