-- Has a holder hold a blob for some time from now, within its quota.
--
-- KEYS: holds, blobs of the holder, charges, holders, doomed, removing
-- ARGV: holder, hex of the digest, bytes, milliseconds to live, quota in bytes (-1: none)
-- Returns {"new" or "renewed", until when} | {"quota", bytes charged already} | {"removing"}
local holds, held, charges, holders, doomed, removing = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local holder, hex, bytes, ttlMs, quota = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

if redis.call("SISMEMBER", removing, hex) == 1 then
  return { "removing" }
end
local isNew = redis.call("HEXISTS", held, hex) == 0
if isNew then
  local charged = tonumber(redis.call("HGET", charges, holder) or 0)
  if quota >= 0 and charged + blobCharge(bytes) > quota then
    return { "quota", charged }
  end
  redis.call("HSET", held, hex, bytes)
  redis.call("HINCRBY", charges, holder, blobCharge(bytes))
  redis.call("HINCRBY", holders, hex, 1)
  redis.call("SREM", doomed, hex)
end
local expiresAt = math.floor(now() + ttlMs)
redis.call("ZADD", holds, "GT", expiresAt, holder .. " " .. hex)
return { isNew and "new" or "renewed", expiresAt }
