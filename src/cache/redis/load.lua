-- Reads the vectors of a fingerprint, those first that were stored last.
--
-- KEYS[1]  the vectors, as the script that adds them has them
-- ARGV     most  how many there may be
--          one   the longest value, in bytes
--          all   of all that are told, in bytes
--
-- Answers of each its field and its value. A field whose value is too long has none. Answers 0 where it is no such
-- hash.

local key, most, one, all = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local length = redis.pcall('HLEN', key)
if type(length) == 'table' or length > 4 * most then
  return 0
end
local fields = redis.call('HKEYS', key)
table.sort(fields, function(a, b) return a > b end)
local answer, sum = {}, 0
for at = 1, math.min(#fields, most) do
  local field = fields[at]
  local bytes = redis.call('HSTRLEN', key, field)
  if #field > 256 then
    return 0
  elseif bytes > one then
    answer[#answer + 1] = field
    answer[#answer + 1] = ''
  elseif sum + bytes <= all then
    sum = sum + bytes
    answer[#answer + 1] = field
    answer[#answer + 1] = redis.call('HGET', key, field)
  end
end
return answer
