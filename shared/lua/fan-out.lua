-- Divides a job: writes the records of its parts, which expire by themselves until they are confirmed, as any job's; and
-- how they are to be put together again. Parts that are there already stay as they are, so it may be repeated.
--
-- KEYS: job, its events
-- ARGV: id, token, channel of cancels, channel of news, who holds the parts' files, key of all holds, key of what he holds,
--       milliseconds to confirm, plan, number of parts, then the request of each part, then an event of each, then batches
--       of items, as many as there are
-- Returns 1, or 0 when another attempt has the job, or it is finished.
local job = KEYS[1]
local id, token, cancelChannel, newsChannel = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local filesHolder, blobHolds, heldFiles = ARGV[5], ARGV[6], ARGV[7]
local pendingMs, plan, parts = ARGV[8], ARGV[9], tonumber(ARGV[10])
local FIXED = 10

local record = redis.call("HMGET", job, "state", "token", "parts")
if record[1] ~= "running" or record[2] ~= token then
  return 0
end
local isFirst = not record[3]
redis.call("HSET", job, "parts", parts, "cancelChannel", cancelChannel, "plan", plan)
redis.call("HSET", job, "filesHolder", filesHolder, "blobHolds", blobHolds, "heldFiles", heldFiles)
for number = 1, parts do
  local part, time = partOf(job, number), now()
  if redis.call("EXISTS", part) == 0 then
    local request = ARGV[FIXED + number]
    redis.call("HSET", part, "id", partOf(id, number), "kind", "shard-part", "state", "queued", "request", request)
    redis.call("HSET", part, "createdAt", time, "attempt", 0, "parent", job, "event", ARGV[FIXED + parts + number])
    redis.call("PEXPIRE", part, pendingMs)
  end
  if isFirst and isWatched(job) then
    tellOfPart(job, part)
  end
end
if isFirst then
  for index = FIXED + 2 * parts + 1, #ARGV do
    local batch = index - FIXED - 2 * parts - 1
    redis.call("HSET", batchesOf(job), batch, ARGV[index])
    redis.call("RPUSH", untakenOf(job), batch)
  end
end
tellWatchers(job, id, newsChannel)
return 1
