-- Says that a replica lives and which calls it holds of one counter.
--
-- KEYS[1]  the counter
-- ARGV     time     in microseconds since the Unix epoch; '0' for this server's
--          replica  who lives
--          hold     how long it holds its calls without another heartbeat, in ms
--          calls    how many it holds, then of each: the id of the grant, the amount
--          gone     the ids of those that it held at the last heartbeat and holds no more
--
-- A call that is not known was lost with the server's memory, or taken for dead: it is held again.
-- Answers the sum of all calls of all replicas.

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local key, replica, hold, calls = KEYS[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local till = (now - math.fmod(now, 1000)) / 1000 + hold

local function text(number)
  return string.format('%.0f', number)
end

local sum = tonumber(redis.call('HGET', key, 'n')) or 0
for at = 5 + 2 * calls, #ARGV do
  local call = redis.call('HGET', key, ARGV[at])
  if call then
    redis.call('HDEL', key, ARGV[at])
    sum = sum - tonumber(string.match(call, '^%d+'))
  end
end
for at = 5, 3 + 2 * calls, 2 do
  if redis.call('HSETNX', key, ARGV[at], ARGV[at + 1] .. ' ' .. replica) == 1 then
    sum = sum + tonumber(ARGV[at + 1])
  end
end
if sum <= 0 then
  redis.call('DEL', key)
  return 0
end
redis.call('HSET', key, 'n', text(sum))
if calls > 0 then
  local due = tonumber(redis.call('HGET', key, 'x')) or till
  redis.call('HSET', key, '@' .. replica, text(till), 'x', text(math.min(due, till)))
  redis.call('PEXPIRE', key, text(2 * hold + 60000))
end
return sum
