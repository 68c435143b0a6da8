-- Tells those who watch a job of one of its parts, if the attempt at the part still holds it.
--
-- KEYS: part, or the job itself; job; events of the job
-- ARGV: id of the job, token, channel of news, name of the event, its data, an id of this telling: sent twice (a connection
--       that broke before the reply), it is told once
-- Returns 1, or 0 when another attempt has the part, or the job is finished.
local holder, job, events = KEYS[1], KEYS[2], KEYS[3]
local id, token, newsChannel, name, data, telling = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local record = redis.call("HMGET", holder, "state", "token", "told")
if record[1] ~= "running" or record[2] ~= token or redis.call("HGET", job, "state") ~= "running" then
  return 0
end
if record[3] == telling then
  return 1
end
redis.call("HSET", holder, "told", telling)
tell(job, events, name, data)
tellWatchers(job, id, newsChannel)
return 1
