-- What both scripts need that take of counters and settle: the time, and the counters of windows moved on to it.
-- It goes before either.
--
-- ARGV[1] is the verb, of which 'peek' writes nothing, and ARGV[2] the time in microseconds since the Unix epoch, '0'
-- for this server's.
--
-- A rolling counter is a hash: `b` the last part seen, `t` the sum of all parts, `l` the last that was charged,
-- `w` the share that was warned of, and an amount by the number of each part; of leases there may be one in the part
-- after the last that was seen. A calendar's: `b` the beginning of the unit, `e` its end, both in seconds, `t`, `w`.
--
-- Time that steps back stays in the part or unit that was seen, and a unit ends as it began, whatever zone is said
-- later. Of a clock that had shown a time ahead by more than a window or unit nothing stays but what was used and what
-- is leased.

local MOST = 9007199254740991
local PARTS = 60
local MINUTE = 60000

local verb = ARGV[1]
local now = tonumber(ARGV[2])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Lua writes large numbers with an exponent; the server does not, where it is given the number itself.
local function text(number)
  return string.format('%.0f', number)
end

-- The fields of parts, and what is in them.
local function parts(key, from, to)
  local fields = {}
  for part = from, to do fields[#fields + 1] = text(part) end
  return fields, redis.call('HMGET', key, unpack(fields))
end

-- Looking moves nothing on, so that it may be done with any time.
local function write(...)
  if verb ~= 'peek' then redis.call(...) end
end

-- What has left the window is taken off.
local function rolling(key, length)
  local got = redis.call('HMGET', key, 'b', 't', 'w', 'l', 'o')
  local last = tonumber(got[1])
  local state = {kind = 'r', length = length, used = tonumber(got[2]) or 0, warned = tonumber(got[3]) or 0,
    latest = tonumber(got[4]), fresh = true}
  state.bucket = (now - math.fmod(now, length)) / length
  state.now = now
  if not last then return state end
  if last - state.bucket > PARTS + 1 then
    write('DEL', key)
    write('HSET', key, 'b', state.bucket, 't', state.used, 'l', state.bucket, 'w', state.warned, state.bucket, state.used)
    if got[5] then write('HSET', key, 'o', got[5]) end
    write('PEXPIRE', key, math.ceil((PARTS + 2) * length / 1000) + MINUTE)
    state.latest = state.bucket
  elseif last >= state.bucket then
    state.now = math.max(now, last * length)
    -- Something need not have been charged in it yet.
    state.bucket, state.fresh = last, state.latest ~= last
  elseif state.bucket - last > PARTS + 1 then
    write('DEL', key)
    state.used, state.warned, state.latest = 0, 0, nil
  else
    local fields, amounts = parts(key, last - PARTS, state.bucket - PARTS - 1)
    for i = 1, #fields do state.used = state.used - (tonumber(amounts[i]) or 0) end
    write('HDEL', key, unpack(fields))
    write('HSET', key, 'b', state.bucket, 't', state.used)
  end
  return state
end

-- The unit that holds the time, among those that begin and end with these seconds; none where none does.
local function calendar(key, starts)
  local second = (now - math.fmod(now, 1000000)) / 1000000
  local got = redis.call('HMGET', key, 'b', 't', 'w', 'e')
  local last, ends = tonumber(got[1]), tonumber(got[4])
  local state = {kind = 'c', used = 0, warned = 0, now = second * 1000000, fresh = true}
  for i = 1, #starts - 1 do
    if starts[i] <= second and second < starts[i + 1] then
      state.bucket, state.ends = starts[i], starts[i + 1] * 1000000
    end
  end
  local is_ahead = last and last - second > ends - last
  if last and second < ends and not is_ahead then
    state.bucket, state.ends, state.fresh = last, ends * 1000000, false
  end
  if last and (is_ahead or state.bucket == last) then
    state.used, state.warned = tonumber(got[2]) or 0, tonumber(got[3]) or 0
  end
  if is_ahead and state.bucket then
    write('HSET', key, 'b', state.bucket, 'e', state.ends / 1000000)
    write('PEXPIRE', key, math.ceil((state.ends - state.now) / 1000) + MINUTE)
  end
  return state.bucket and state
end

