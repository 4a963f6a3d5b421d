-- Charges what a grant came to instead of what was taken, or takes it back; once.
--
-- KEYS[1]    the grant's mark
-- KEYS[1+i]  the counter of take i
-- ARGV       verb      'settle'; 'unchecked' for a call that went on though nothing is known to be taken for it;
--                      'cancel' where nobody knows whether the grant was made; 'release' for the calls that it
--                      holds alone: it is not over by that, and its mark is not looked at; 'return' for a lease;
--                      'adjust' for what calls came to that were made on leases, a grant of its own
--            time      in microseconds since the Unix epoch; '0' for this server's
--            id        of the grant
--            closed    how long the mark lives that says that it is over, in ms
-- and of each take:
--            kind      'r' rolling, 'c' calendar, 'h' held
--            amount    what is charged in the end; of 'h' anything, for the call has ended; of 'adjust' how much
--                      more or less than there is
--            bucket    of the charge, for a grant of which this server knows nothing; -1 for the current part
--            length    of 'r' a part's in microseconds; of 'c' when the unit of the bucket ends, in seconds
-- and of a lease: when it ends or ended, in microseconds on this server's clock; how much was leased
--
-- Answers 1, or 0 for a grant that is over already. A grant that was made and is not known any more was lost
-- with the server's memory, and the charge of it: then the amount itself is charged. A cancelled grant cannot
-- be made any more for as long as its mark lives.

local id = ARGV[3]
-- So many numbers does the mark of a lease keep: of one take, and for how long and until when it is leased.
local LEASE = 10

-- A bucket below 0 is that in which time stands.
local function apply_rolling(key, bucket, length, change)
  local state = rolling(key, length)
  if bucket < 0 then bucket = state.bucket end
  if bucket < state.bucket - PARTS then return end
  -- A lease may be of the part to come. What was taken when the clock was wrong is in the present part now, mixed
  -- with the rest: more is charged there, and nothing is given back.
  if bucket > state.bucket + 1 then bucket, change = state.bucket, math.max(0, change) end
  local had = tonumber(redis.call('HGET', key, text(bucket))) or 0
  change = math.min(math.max(change, -had), MOST - state.used)
  if change == 0 then return end
  redis.call('HSET', key, 'b', text(state.bucket), 't', text(state.used + change), text(bucket), text(had + change),
    'l', text(math.max(state.latest or bucket, bucket)), 'w', state.warned)
  redis.call('PEXPIRE', key, text(math.ceil((PARTS + 2) * length / 1000) + MINUTE))
end

local function apply_calendar(key, bucket, ends, change)
  local state = calendar(key, {bucket, ends})
  if not state then return end
  -- What was not admitted belongs to the unit that runs.
  if state.bucket ~= bucket and verb ~= 'unchecked' then
    if bucket < state.bucket then return end
    -- The clock was wrong when it was taken, as for rolling counters.
    change = math.max(0, change)
  end
  change = math.min(math.max(change, -state.used), MOST - state.used)
  if change == 0 then return end
  redis.call('HSET', key, 'b', text(state.bucket), 'e', text(state.ends / 1000000), 't', text(state.used + change),
    'w', state.warned)
  if state.fresh then
    redis.call('PEXPIRE', key, text(math.ceil(math.max(0, state.ends - now) / 1000) + MINUTE))
  end
end

local function held(key)
  local call = redis.call('HGET', key, id)
  if not call then return end
  redis.call('HDEL', key, id)
  local left = redis.call('HINCRBY', key, 'n', '-' .. string.match(call, '^%d+'))
  if left <= 0 then redis.call('DEL', key) end
end

-- So much less is leased.
local function returned(key, ends, amount)
  local words, found = {}, false
  for at, held, count in string.gmatch(redis.call('HGET', key, 'o') or '', '(%d+) (%d+) (%d+)') do
    if tonumber(at) == ends then
      found, held = true, text(math.max(0, tonumber(held) - amount))
    end
    words[#words + 1] = at .. ' ' .. held .. ' ' .. count
  end
  if found then redis.call('HSET', key, 'o', table.concat(words, ' ')) end
end

if verb == 'release' then
  for i = 2, #KEYS do held(KEYS[i]) end
  return 1
end

local mark = redis.call('GET', KEYS[1])
-- What was taken back is charged again if the call went on without it.
if mark == 'c' and verb == 'unchecked' then mark = nil end
local had = {}
if mark and verb == 'adjust' then return 0 end
if mark then
  if string.sub(mark, 1, 1) ~= 'g' then return 0 end
  for found in string.gmatch(string.sub(mark, 2), '%S+') do had[#had + 1] = tonumber(found) end
end

for i = 2, #KEYS do
  local at = 4 * (i - 1)
  local kind, amount = ARGV[at + 1], tonumber(ARGV[at + 2])
  local bucket, length = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  -- The answer that the mark keeps: two numbers, then six of each take.
  local charged, part = had[6 * (i - 2) + 3], had[6 * (i - 2) + 4]
  if kind == 'h' then
    held(KEYS[i])
  elseif mark or verb ~= 'cancel' then
    local apply = kind == 'r' and apply_rolling or apply_calendar
    apply(KEYS[i], part or bucket, length, amount - (charged or 0))
  end
end
if verb == 'return' then
  returned(KEYS[2], tonumber(ARGV[9]), tonumber(ARGV[10]))
elseif verb == 'cancel' and #had == LEASE then
  returned(KEYS[2], had[10], had[3])
end
redis.call('SET', KEYS[1], verb == 'cancel' and 'c' or 's', 'PX', ARGV[4])
return 1
