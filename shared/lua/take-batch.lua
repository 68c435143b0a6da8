-- Takes the next batch of items for a part.
--
-- KEYS: part, job
-- ARGV: number of the part, token
-- Returns {"taken", items} | {"none"} | {"lost"} (another attempt has the part)
local part, job = KEYS[1], KEYS[2]
local number, token = ARGV[1], ARGV[2]

local record = redis.call("HMGET", part, "state", "token")
if record[1] ~= "running" or record[2] ~= token then
  return { "lost" }
end
local batch = redis.call("LPOP", untakenOf(job))
if not batch then
  return { "none" }
end
redis.call("HSET", takenOf(job), batch, number)
return { "taken", redis.call("HGET", batchesOf(job), batch) }
