-- Reads what was forgotten when.
--
-- KEYS[1]  as the script that writes it has it
-- ARGV     most  how many extents are remembered
--
-- Answers the version of all, the floor, and of each extent its name and its version. What is no such hash is removed,
-- as if nothing had been there.

local key, most = KEYS[1], tonumber(ARGV[1])
local length = redis.pcall('HLEN', key)
if type(length) == 'table' or length > most + 2 then
  redis.call('UNLINK', key)
end
local function number(text)
  return tonumber(string.match(text or '', '^%d+$')) or 0
end
local answer = {number(redis.call('HGET', key, 'v')), number(redis.call('HGET', key, 'floor'))}
for _, field in ipairs(redis.call('HKEYS', key)) do
  if string.sub(field, 1, 2) == 'e:' and #field <= 1024 and redis.call('HSTRLEN', key, field) <= 20 then
    answer[#answer + 1] = string.sub(field, 3)
    answer[#answer + 1] = number(redis.call('HGET', key, field))
  end
end
return answer
