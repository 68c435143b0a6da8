-- BullMQ does not have the job: forgets the record, unless another request with the same idempotency key has
-- brought it in meanwhile, or a worker has it all the same.
--
-- KEYS: job, queued, pending
-- ARGV: id
-- Returns how many records were removed
local job, queued, pending = KEYS[1], KEYS[2], KEYS[3]
local id = ARGV[1]

local record = redis.call("HMGET", job, "state", "idempotencyKey")
local state, idempotencyKey = record[1], record[2]
-- Whoever has a key that others do not know has confirmed the record itself.
if redis.call("ZREM", pending, id) == 0 and (idempotencyKey or state ~= "queued") then
  return 0
end
redis.call("ZREM", queued, id)
if idempotencyKey then
  redis.call("DEL", idempotencyKey)
end
return redis.call("DEL", job)
