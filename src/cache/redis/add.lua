-- Adds a vector to those of its fingerprint.
--
-- KEYS[1]  the vectors: a hash, of which vector.rs says what its fields are
-- ARGV     field, value
--          most  how many there may be; of more, those that were stored first are not kept
--          ttl   how long the hash lives at least, in ms
--
-- What has ended goes, and so does what was stored of the same answer before, and whatever is no field. What is no
-- hash, or one that this script has not written, is replaced.

local key, field, value = KEYS[1], ARGV[1], ARGV[2]
local most, ttl = tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(redis.call('TIME')[1])
local length = redis.pcall('HLEN', key)
if type(length) == 'table' or length > 4 * most then
  redis.call('UNLINK', key)
end

local kept = {}
for _, other in ipairs(redis.call('HKEYS', key)) do
  local ends = tonumber(string.match(other, '^%d%d%d%d%d%d%d%d%d%d%d%d(%d%d%d%d%d%d%d%d%d%d%d%d)'))
  if #other == #field and ends and ends > now and string.sub(other, 25) ~= string.sub(field, 25) then
    kept[#kept + 1] = other
  else
    redis.call('HDEL', key, other)
  end
end
table.sort(kept)
for at = 1, #kept + 1 - most do
  redis.call('HDEL', key, kept[at])
end
redis.call('HSET', key, field, value)
if redis.call('PTTL', key) < ttl then
  redis.call('PEXPIRE', key, ttl)
end
return 1
