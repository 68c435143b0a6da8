-- Takes the next batch of items for a part. Asked again for the same turn (a connection that broke before the reply), it
-- is the same batch.
--
-- KEYS: part, job
-- ARGV: number of the part, token, turn: how many batches this attempt has taken before
-- Returns {"taken", items} | {"none"} | {"lost"} (another attempt has the part)
local part, job = KEYS[1], KEYS[2]
local number, token, turn = ARGV[1], ARGV[2], ARGV[3]

local record = redis.call("HMGET", part, "state", "token")
if record[1] ~= "running" or record[2] ~= token then
  return { "lost" }
end
local place = number .. ":" .. turn
local batch = redis.call("HGET", takenOf(job), place) or redis.call("LPOP", untakenOf(job))
if not batch then
  return { "none" }
end
redis.call("HSET", takenOf(job), place, batch)
return { "taken", redis.call("HGET", batchesOf(job), batch) }
