-- Has a holder hold its blobs for some time from now.
--
-- KEYS: holds, blobs of the holder
-- ARGV: holder, milliseconds to live, hex of each digest
-- Returns for each blob its bytes, or -1 when the holder has it not, or no more.
local holds, held = KEYS[1], KEYS[2]
local holder, ttlMs = ARGV[1], tonumber(ARGV[2])

local time = tonumber(now())
local answers = {}
for index = 3, #ARGV do
  local member = holder .. " " .. ARGV[index]
  local expiresAt = redis.call("ZSCORE", holds, member)
  if expiresAt and tonumber(expiresAt) > time then
    redis.call("ZADD", holds, "GT", math.floor(time + ttlMs), member)
    answers[#answers + 1] = tonumber(redis.call("HGET", held, ARGV[index]))
  else
    answers[#answers + 1] = -1
  end
end
return answers
