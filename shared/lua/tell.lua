-- Tells those who watch a job of one of its parts, if the attempt at the part still holds it.
--
-- KEYS: part, or the job itself; job; events of the job
-- ARGV: id of the job, token, channel of news, name of the event, its data
-- Returns 1, or 0 when another attempt has the part, or the job is finished.
local holder, job, events = KEYS[1], KEYS[2], KEYS[3]
local id, token, newsChannel, name, data = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local record = redis.call("HMGET", holder, "state", "token")
if record[1] ~= "running" or record[2] ~= token or redis.call("HGET", job, "state") ~= "running" then
  return 0
end
tell(job, events, name, data)
tellWatchers(job, id, newsChannel)
return 1
