-- An attempt has divided its job, and nobody has it until all parts are over.
--
-- KEYS: job, queued, running, pending
-- ARGV: id, token, seconds to keep a finished job, channel of finished jobs
-- Returns "suspended" | "canceled" (a cancel was waiting) | "lost" (another attempt holds it)
local job, queued, running, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, token, ttlSeconds, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local record = redis.call("HMGET", job, "state", "token", "cancelRequested")
if record[1] ~= "running" or (record[2] ~= token and record[2] ~= "") then
  return "lost"
end
if record[3] then
  settle(job, id, { queued, running, pending }, channel, ttlSeconds, "canceled", "token", "")
  return "canceled"
end
redis.call("HSET", job, "token", "")
return "suspended"
