-- Reads the notices that were written after a version.
--
-- KEYS[1]  all notices, as the script that writes them has them
-- ARGV     time   in microseconds since the Unix epoch; '0' for this server's
--          since  the version
--          most   how many are told at most
--          limit  the longest that one may last, in ms: what lasts longer is none
--
-- Answers the version of all, then of each notice its name and how long it still lasts, in ms.

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local since, most, limit = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ms = math.floor(now / 1000)

local answer = {0}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  if all[at] == 'v' then
    answer[1] = tonumber(string.match(all[at + 1], '^%d+$')) or 0
  else
    local ends, version = string.match(all[at + 1], '^(%d+) (%d+)$')
    local left = (tonumber(ends) or 0) - ms
    if left > 0 and left <= limit and tonumber(version) > since and #answer <= 2 * most then
      answer[#answer + 1] = all[at]
      answer[#answer + 1] = left
    end
  end
end
return answer
