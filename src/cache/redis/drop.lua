-- Removes what was read and is no value.
--
-- KEYS[1]  where it was
-- ARGV     kind  the one that a value there has
--          of a string: how it began, nothing where it was of another kind
--          of a hash: how many fields it has at most
--
-- What another replica has put there meanwhile stays: a string begins otherwise, for its nonce is another, and a hash
-- has no more fields than it may. Answers how many were removed.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'string' and kind == ARGV[1] and redis.call('GETRANGE', KEYS[1], 0, #ARGV[2] - 1) ~= ARGV[2] then
  return 0
end
if kind == 'hash' and kind == ARGV[1] and redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[2]) then
  return 0
end
return redis.call('UNLINK', KEYS[1])
