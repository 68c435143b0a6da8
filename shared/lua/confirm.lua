-- BullMQ has the job: it is accepted from here on. A worker may have been faster and even have finished it.
--
-- KEYS: job, queued, pending
-- ARGV: id
-- Returns 1, or 0 when the record has expired before.
local job, queued, pending = KEYS[1], KEYS[2], KEYS[3]
local id = ARGV[1]

redis.call("ZREM", pending, id)
local record = redis.call("HMGET", job, "state", "createdAt")
local state = record[1]
if not state then
  return 0
end
if state == "queued" then
  redis.call("ZADD", queued, record[2], id)
  keep(job)
end
return 1
