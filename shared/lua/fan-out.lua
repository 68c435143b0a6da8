-- Divides a job: writes the records of its parts, which expire by themselves until they are confirmed, as any job's; and
-- how they are to be put together again. Parts that are there already stay as they are, so it may be repeated.
--
-- KEYS: job, events
-- ARGV: id, token, channel of cancels, channel of news, milliseconds to confirm, plan, number of parts, then the request
--       of each part, then an event of each, then batches of items, as many as there are
-- Returns 1, or 0 when another attempt has the job, or it is finished.
local job, events = KEYS[1], KEYS[2]
local id, token, cancelChannel, newsChannel = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local pendingMs, plan, parts = ARGV[5], ARGV[6], tonumber(ARGV[7])

local record = redis.call("HMGET", job, "state", "token", "parts")
if record[1] ~= "running" or record[2] ~= token then
  return 0
end
local isFirst = not record[3]
redis.call("HSET", job, "parts", parts, "cancelChannel", cancelChannel, "plan", plan)
for number = 1, parts do
  local part, time = partOf(job, number), now()
  if redis.call("EXISTS", part) == 0 then
    local request = ARGV[7 + number]
    redis.call("HSET", part, "id", partOf(id, number), "kind", "shard-part", "state", "queued", "request", request)
    redis.call("HSET", part, "createdAt", time, "attempt", 0, "parent", job)
    redis.call("PEXPIRE", part, pendingMs)
  end
  if isFirst then
    tell(job, events, "shard", ARGV[7 + parts + number])
  end
end
if isFirst then
  for index = 8 + 2 * parts, #ARGV do
    local batch = index - 8 - 2 * parts
    redis.call("HSET", batchesOf(job), batch, ARGV[index])
    redis.call("RPUSH", untakenOf(job), batch)
  end
end
tellWatchers(job, id, newsChannel)
return 1
