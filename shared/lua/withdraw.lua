-- BullMQ does not have the job: forgets the record, unless another request with the same idempotency key has
-- brought it in meanwhile.
--
-- KEYS: job, pending
-- ARGV: id
local job, pending = KEYS[1], KEYS[2]
local id = ARGV[1]

if redis.call("ZREM", pending, id) == 0 then
  return 0
end
local idempotencyKey = redis.call("HGET", job, "idempotencyKey")
if idempotencyKey then
  redis.call("DEL", idempotencyKey)
end
return redis.call("DEL", job)
