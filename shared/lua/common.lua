-- Put before every other script of this folder.
--
-- A job's record is a hash: id, kind, state, request, createdAt, startedAt, finishedAt, attempt, token, worker,
-- cancelRequested, watched, result, error, idempotencyKey; of a job that is divided also parts (how many), plan,
-- cancelChannel, and who holds the files of its parts by which keys (filesHolder, blobHolds, heldFiles); and of a part
-- parent (the key of the job) and event (how it stands, for those who watch the job: as it waits, and as it has ended),
-- beside the same as of a job; and told, what of either was told last. Keys that a script takes from a record rather than
-- from KEYS carry the same hash tag, so they live on the same node.

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

-- A part of a job, by its number from 1: its key, from the job's, or its id.
local function partOf(job, number)
  return string.format("%s.%d", job, number)
end

-- Hash: number of a batch -> its items. List: numbers of those that nobody has taken. Hash: number of a part and its
-- turn, with a colon in between -> number of the batch that it took then.
local function batchesOf(job)
  return job .. ":batches"
end
local function untakenOf(job)
  return job .. ":untaken"
end
local function takenOf(job)
  return job .. ":taken"
end

-- Whether somebody watches a job. What a part does is for those who watch its job.
local function isWatched(job)
  return redis.call("HEXISTS", redis.call("HGET", job, "parent") or job, "watched") == 1
end

-- What an event has in a stream, from arguments: name, offset, data, and the part of the job that it is of, if it has one.
local function eventFields(arguments, index)
  local name, offset, data, source = unpack(arguments, index, index + 3)
  if source == "" then
    return "name", name, "offset", offset, "data", data
  end
  return "name", name, "offset", offset, "data", data, "source", source
end

-- Appends an event to those of a job, behind whatever is there: several may tell of it.
local function tell(job, ...)
  local events = eventsOf(job)
  local attempt = redis.call("HGET", job, "attempt")
  local last = redis.call("XREVRANGE", events, "+", "-", "COUNT", 1)[1]
  local lastAttempt, lastSequence = string.match(last and last[1] or "0-0", "^(%d+)-(%d+)$")
  local sequence = lastAttempt == attempt and tonumber(lastSequence) + 1 or 1
  redis.call("XADD", events, string.format("%s-%d", attempt, sequence), ...)
end

-- Tells what became of a part last, as its record has it.
local function tellOfPart(job, part)
  local event = redis.call("HGET", part, "event")
  if event then
    tell(job, "name", "shard", "offset", 0, "data", event)
  end
end

local settle

-- Ends all parts of a job but one: those that wait at once, those that run by asking whoever runs them.
local function stopParts(job, id, sets, channel, ttlSeconds, exceptId)
  local divided = redis.call("HMGET", job, "parts", "cancelChannel")
  for number = 1, tonumber(divided[1] or 0) do
    local part, partId = partOf(job, number), partOf(id, number)
    local state = partId ~= exceptId and redis.call("HGET", part, "state")
    if state == "queued" then
      settle(part, partId, sets, channel, ttlSeconds, "canceled", "token", "")
    elseif state == "running" then
      redis.call("HSET", part, "cancelRequested", 1)
      redis.call("PUBLISH", divided[2], partId)
    end
  end
end

-- A job is over that was divided: the files of its parts are held as long as its record is kept, and not until whoever
-- put them there thought that it would be over at last.
local function boundFiles(job, ttlSeconds)
  local record = redis.call("HMGET", job, "blobHolds", "heldFiles", "filesHolder")
  if not record[1] then
    return
  end
  local expiresAt = math.floor(now() + ttlSeconds * 1000)
  for _, hex in ipairs(redis.call("HKEYS", record[2])) do
    redis.call("ZADD", record[1], "XX", "LT", expiresAt, record[3] .. " " .. hex)
  end
end

-- What is kept of a finished job for a while. A part is kept as long as its job is not finished.
local function expire(job, ttlSeconds)
  local parent = redis.call("HGET", job, "parent")
  local parentState = parent and redis.call("HGET", parent, "state")
  if parentState and not isFinished(parentState) then
    redis.call("PERSIST", job)
    return
  end
  redis.call("EXPIRE", job, ttlSeconds)
  -- What a part leaves that ends after its job is not of more use.
  boundFiles(parentState and parent or job, ttlSeconds)
end

-- The fields that a job is shown by, in the order of `viewFields` (shared/job-record.ts).
local VIEW = { "id", "kind", "state", "createdAt", "startedAt", "finishedAt", "attempt", "result", "error" }
-- What is larger is read by those who want it: every API hears every message.
local TOLD_BYTES = 4096

-- Tells that a job is finished: its id, a space, and the record as whoever waits for the job would read it; of a part, for
-- which nobody waits, and of a large result the id only.
local function tellOfEnd(job, id, channel, parent)
  local bytes = redis.call("HSTRLEN", job, "result") + redis.call("HSTRLEN", job, "error")
  if parent or bytes > TOLD_BYTES then
    redis.call("PUBLISH", channel, id)
  else
    redis.call("PUBLISH", channel, id .. " " .. cjson.encode(redis.call("HMGET", job, unpack(VIEW))))
  end
end

-- Ends a job for good, and its parts. Its request is not needed any more and may be megabytes.
function settle(job, id, sets, channel, ttlSeconds, state, ...)
  redis.call("HSET", job, "state", state, "finishedAt", now(), ...)
  stopParts(job, id, sets, channel, ttlSeconds)
  local parts = tonumber(redis.call("HGET", job, "parts") or 0)
  for number = 1, parts do
    local part = partOf(job, number)
    if isFinished(redis.call("HGET", part, "state")) then
      redis.call("EXPIRE", part, ttlSeconds)
    end
  end
  if parts > 0 then
    redis.call("DEL", batchesOf(job), untakenOf(job), takenOf(job))
  end
  redis.call("HDEL", job, "request", "cancelRequested", "plan")
  expire(job, ttlSeconds)
  redis.call("EXPIRE", eventsOf(job), ttlSeconds)
  local idempotencyKey = redis.call("HGET", job, "idempotencyKey")
  if idempotencyKey then
    redis.call("EXPIRE", idempotencyKey, ttlSeconds)
  end
  for _, set in ipairs(sets) do
    redis.call("ZREM", set, id)
  end
  tellOfEnd(job, id, channel, redis.call("HGET", job, "parent"))
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
