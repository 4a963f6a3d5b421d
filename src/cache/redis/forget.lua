-- Says that an extent is forgotten.
--
-- KEYS[1]  what was forgotten when
-- ARGV     the extent
--          most  how many extents are remembered; of more, the one that was forgotten first is not
--
-- A field for each extent, 'e:EXTENT', holds the version of when it was forgotten last; 'v' holds that of the last of
-- all, and 'floor' that of the last that is not remembered: who has heard of nothing later has missed something. A
-- version is the time in microseconds since the Unix epoch, and grows. One that is an hour ahead of that was not
-- written by this script. Answers the version.

local key, extent, most = KEYS[1], 'e:' .. ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local length = redis.pcall('HLEN', key)
if type(length) == 'table' or length > 4 * most then
  redis.call('UNLINK', key)
end

local function read(field)
  local version = tonumber(string.match(redis.call('HGET', key, field) or '', '^%d+$')) or 0
  return version <= now + 3600000000 and version or 0
end

local version = string.format('%.0f', math.max(read('v') + 1, now))
redis.call('HSET', key, extent, version, 'v', version)
local fields, count, first = redis.call('HKEYS', key), 0, nil
for _, field in ipairs(fields) do
  if string.sub(field, 1, 2) == 'e:' then
    count = count + 1
    if field ~= extent and (not first or read(field) < read(first)) then
      first = field
    end
  end
end
if count > most and first then
  redis.call('HSET', key, 'floor', string.format('%.0f', math.max(read(first), read('floor'))))
  redis.call('HDEL', key, first)
end
return tonumber(version)
