-- Ends holds whose time is over.
--
-- KEYS: holds, charges, holders, doomed
-- ARGV: how many at most, prefix of the keys of holders' blobs
-- Returns how many.
local holds, charges, holders, doomed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local expired = redis.call("ZRANGEBYSCORE", holds, "-inf", now(), "LIMIT", 0, ARGV[1])
for _, member in ipairs(expired) do
  local holder, hex = string.match(member, "^(%S+) (%x+)$")
  endHold(holds, ARGV[2] .. holder, charges, holders, doomed, holder, hex)
end
return #expired
