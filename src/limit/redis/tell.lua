-- Writes notices: names, each until a time, which other replicas are to know of.
--
-- KEYS[1]  all notices
-- ARGV     time   in microseconds since the Unix epoch; '0' for this server's
--          most   how many there may be; of more, those that end first are not kept
--          limit  the longest that one may last, in ms
--          least  in ms: by less a notice that is there is not prolonged
--          then of each notice: its name, for how long, in ms
--
-- A notice is 'TILL VERSION': in ms since the epoch, and of the time when it was written last. The version of all
-- is beside them under 'v', which is no notice's name. It only grows, also when the server has lost what it knew,
-- since it is never below the time in microseconds; one that is far ahead of that was not written by this script.
-- What is no notice, or lasts longer than one may, is removed. Answers how many were written.

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local key, most, limit, least = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ms = math.floor(now / 1000)

local function text(number)
  return string.format('%.0f', number)
end

local till, count, version = {}, 0, 0
local all = redis.call('HGETALL', key)
for at = 1, #all, 2 do
  local name = all[at]
  if name == 'v' then
    version = tonumber(string.match(all[at + 1], '^%d+$')) or 0
  else
    local ends = tonumber(string.match(all[at + 1], '^(%d+) %d+$'))
    if ends and ends > ms and ends <= ms + limit then
      till[name], count = ends, count + 1
    else
      redis.call('HDEL', key, name)
    end
  end
end
if version > now + limit * 1000 then
  version = 0
end
version = math.max(version + 1, now)

-- Whether there is room for one more that ends then.
local function fits(ends)
  if count < most then
    return true
  end
  local first
  for name, other in pairs(till) do
    if not first or other < till[first] then
      first = name
    end
  end
  if not first or till[first] >= ends then
    return false
  end
  redis.call('HDEL', key, first)
  till[first], count = nil, count - 1
  return true
end

local written = 0
for at = 5, #ARGV - 1, 2 do
  local name, ends = ARGV[at], ms + math.min(tonumber(ARGV[at + 1]), limit)
  local known = till[name]
  if name ~= 'v' and ends >= (known or ms) + least and (known or fits(ends)) then
    redis.call('HSET', key, name, text(ends) .. ' ' .. text(version))
    if not known then
      count = count + 1
    end
    till[name], written = ends, written + 1
  end
end
if written > 0 then
  redis.call('HSET', key, 'v', text(version))
  redis.call('PEXPIRE', key, limit)
end
return written
