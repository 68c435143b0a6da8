-- Appends what happened in a job, if this attempt still holds it. Each event has the id `attempt-number`, so that one
-- which is sent twice (a connection that broke before the reply) is there once.
--
-- KEYS: job, events
-- ARGV: id, token, channel of news, then for each event: its id, name, offset, data, source
-- Returns 1, or 0 when another attempt has the job, or it is finished.
local job, events = KEYS[1], KEYS[2]
local id, token, newsChannel = ARGV[1], ARGV[2], ARGV[3]

local record = redis.call("HMGET", job, "state", "token")
if record[1] ~= "running" or record[2] ~= token then
  return 0
end
for index = 4, #ARGV, 5 do
  local reply = redis.pcall("XADD", events, ARGV[index], eventFields(ARGV, index + 1))
  if type(reply) == "table" and reply.err and not string.find(reply.err, "equal or smaller", 1, true) then
    return reply
  end
end
redis.call("PUBLISH", newsChannel, id)
return 1
