-- An attempt at a part begins: what an earlier one had taken is given back, since nothing of it was reported. It goes to
-- the front: the longest items were taken first.
--
-- KEYS: part, job
-- ARGV: number of the part, token
-- Returns 1, or 0 when another attempt has the part.
local part, job = KEYS[1], KEYS[2]
local number, token = ARGV[1], ARGV[2]

local record = redis.call("HMGET", part, "state", "token")
if record[1] ~= "running" or record[2] ~= token then
  return 0
end
local taken = redis.call("HGETALL", takenOf(job))
for index = 1, #taken, 2 do
  if string.match(taken[index], "^%d+") == number then
    redis.call("HDEL", takenOf(job), taken[index])
    redis.call("LPUSH", untakenOf(job), taken[index + 1])
  end
end
return 1
