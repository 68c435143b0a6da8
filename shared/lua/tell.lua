-- Appends events to those of a job that several tell of, if this attempt at the job or a part still holds that.
--
-- KEYS: part, or the job itself; job; events of the job
-- ARGV: id of the job, token, channel of news, an id of this telling: sent twice (a connection that broke before the
--       reply), it is told once; then for each event: name, offset, data, source
-- Returns 1, or 0 when another attempt has the part, or the job is finished.
local holder, job = KEYS[1], KEYS[2]
local id, token, newsChannel, telling = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local record = redis.call("HMGET", holder, "state", "token", "told")
if record[1] ~= "running" or record[2] ~= token or redis.call("HGET", job, "state") ~= "running" then
  return 0
end
if record[3] == telling or not isWatched(job) then
  return 1
end
redis.call("HSET", holder, "told", telling)
for index = 5, #ARGV, 4 do
  tell(job, eventFields(ARGV, index))
end
redis.call("PUBLISH", newsChannel, id)
return 1
