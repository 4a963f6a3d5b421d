-- Takes of all counters of one call, or of none.
--
-- KEYS[1]    the grant's mark
-- KEYS[1+i]  the counter of take i; two takes may have the same
-- ARGV       verb      'reserve'; 'peek' to take nothing; 'lease' to take of one counter for what is to come
--            time      in microseconds since the Unix epoch; '0' for this server's
--            id        of the grant, 32 hexadecimal digits
--            replica   who asks
--            open      how long the mark of a grant that nobody settles lives, in ms
--            hold      how long a replica that is not heard of holds calls, in ms
-- and of each take:
--            kind      'r' rolling, 'c' calendar, 'h' held
--            amount, ceiling
--            posture   'e' enforce, 'o' observe, 's' shadow
--            warnings  how many, then of each: the share in percent, from which amount on it is used; rising
--   of 'r'   part      its length in microseconds
--   of 'c'   starts    how many, then the beginnings of units in seconds, rising
-- and of a lease, whose amount is the most that is wanted:
--            least     what is worth to be leased
--            most      how much all replicas together may hold of the counter that they have not used
--            cell      how long a lease lasts at most, in microseconds
--            after     when the lease ends, of this replica's, that this one is to follow; 0 for one that begins now
--            known     when the last lease ended or ends that this replica was granted; 0 for none
--
-- Answers numbers: what it is, the time, and
--   1 granted  of each take: amount, bucket, fit (1 it does, 0 not), left, reset, passed (a share; 0 none)
--   0 refused  the take (from 0), how long to wait (-1 nobody knows); of each take: left, reset
--   2 no unit that was named holds the time: ask again with others
--   3 the grant was settled or cancelled before
--   4 nothing is leased
-- and what was leased is granted with two numbers more: for how long it is, and the time of this server when it ends.
-- Times are in microseconds. All numbers are whole and below 2^53, where Lua's are exact.
--
-- A counter of calls is a hash: `n` the sum, `x` when a replica may be dead, `y` when all that held something were
-- last taken for dead and got more time, `w` the share that was warned of; by the id of a grant 'AMOUNT REPLICA', and
-- by '@REPLICA' until when it holds them. The others are in the head of window.lua. Of either kind: `o` what is
-- leased, of each time at which leases end: that, how much was leased until then and not returned, by how many
-- replicas.

local takes_them, id, replica = verb ~= 'peek', ARGV[3], ARGV[4]
local open, hold = ARGV[5], tonumber(ARGV[6])
local ms = (now - math.fmod(now, 1000)) / 1000

local cursor = 6
local function word()
  cursor = cursor + 1
  return ARGV[cursor]
end
local function number()
  return tonumber(word())
end
local function numbers(count)
  local list = {}
  for i = 1, count do list[i] = number() end
  return list
end

-- What dead replicas held is taken off, once the first of them may be dead.
local function held(key)
  local got = redis.call('HMGET', key, 'n', 'x', 'w', 'y')
  local state = {kind = 'h', bucket = 0, used = tonumber(got[1]) or 0, due = tonumber(got[2]),
    warned = tonumber(got[3]) or 0, now = now}
  if not state.due or ms < state.due then return state end
  local all = redis.call('HGETALL', key)
  local alive, silent = {}, {}
  state.used, state.due = 0, nil
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 1) == '@' then
      local till = tonumber(all[i + 1])
      if till > ms then
        alive[string.sub(all[i], 2)] = true
        state.due = math.min(state.due or till, till)
      else
        silent[#silent + 1] = all[i]
      end
    end
  end
  -- Where nobody was heard of it was rather this server that could not be reached: they have until their next heartbeat.
  local later = ms + math.ceil(hold / 3)
  if not state.due and ms - (tonumber(got[4]) or 0) > hold then
    for _, holder in ipairs(silent) do
      alive[string.sub(holder, 2)] = true
      write('HSET', key, holder, later, 'y', ms)
    end
    silent, state.due = {}, later
  end
  for _, holder in ipairs(silent) do write('HDEL', key, holder) end
  for i = 1, #all, 2 do
    local amount, holder = string.match(all[i + 1], '^(%d+) (.+)$')
    if amount and alive[holder] then
      state.used = state.used + tonumber(amount)
    elseif amount then
      write('HDEL', key, all[i])
    end
  end
  if state.used == 0 then
    write('DEL', key)
    state.warned, state.due = 0, nil
  else
    write('HSET', key, 'n', state.used, 'x', state.due)
  end
  return state
end

-- Until nothing is used any more.
local function reset(state, charged)
  if charged == 0 and state.used == 0 then return 0 end
  if state.kind == 'c' then return math.max(0, state.ends - state.now) end
  if state.kind == 'h' then return 0 end
  local part = math.max(state.bucket, state.latest or state.bucket)
  if charged == 0 then
    part = state.latest or part
    while part > state.bucket - PARTS and (tonumber(redis.call('HGET', state.key, text(part))) or 0) == 0 do
      part = part - 1
    end
  end
  return (part + PARTS + 1) * state.length - state.now
end

-- After how long the take would fit beside what the call takes of the counter anyway; -1 where nobody knows.
local function wait(state, take)
  local room = take.ceiling - state.pending
  if take.amount > room or state.kind == 'h' then return -1 end
  if state.kind == 'c' then return math.max(0, state.ends - state.now) end
  local missing = take.amount - (room - state.used)
  local fields, amounts = parts(state.key, state.bucket - PARTS, state.bucket + 1)
  for i = 1, #fields do
    missing = missing - (tonumber(amounts[i]) or 0)
    if missing <= 0 then return (tonumber(fields[i]) + PARTS + 1) * state.length - state.now end
  end
  return 0
end

-- The first charge of a part or unit says how long the counter is needed.
local function charge(state)
  local key, used = state.key, state.used + state.pending
  if state.kind == 'r' then
    local part = state.part or state.bucket
    redis.call('HINCRBY', key, part, state.pending)
    redis.call('HSET', key, 'b', state.bucket, 't', used, 'l', math.max(part, state.latest or part), 'w', state.warned)
    if state.fresh then
      redis.call('PEXPIRE', key, math.ceil((PARTS + 2) * state.length / 1000) + MINUTE)
    end
  elseif state.kind == 'c' then
    redis.call('HSET', key, 'b', state.bucket, 'e', state.ends / 1000000, 't', used, 'w', state.warned)
    if state.fresh then
      redis.call('PEXPIRE', key, math.ceil(math.max(0, state.ends - now) / 1000) + MINUTE)
    end
  else
    local till = ms + hold
    redis.call('HSET', key, id, text(state.pending) .. ' ' .. replica, '@' .. replica, till, 'n', used,
      'x', math.min(state.due or till, till), 'w', state.warned)
    redis.call('PEXPIRE', key, 2 * hold + MINUTE)
  end
end

-- When the lease ends that holds this time, and when that begins: leases nest in the parts of a window.
local function cell_of(state, time, cell)
  local base, whole = 0, state.length
  if state.kind == 'c' then whole = cell end
  base = time - math.fmod(time, whole)
  local share = math.ceil(whole / math.ceil(whole / cell))
  local ends = base + (math.floor((time - base) / share) + 1) * share
  ends = math.min(ends, base + whole)
  if state.kind == 'c' then ends = math.min(ends, state.ends) end
  return ends
end

-- How much of what is wanted is leased: a replica's share of what may be, and of what is left.
local function lease(state, take, least, most, cell, after, known)
  local time = state.now
  if after > time and after - time <= cell then time = after end
  if state.kind == 'h' or state.kind == 'c' and time >= state.ends then return 0 end
  local ends = cell_of(state, time, cell)
  local held, replicas, kept, mine, is_wrong = 0, 0, {}, nil, false
  for at, amount, count in string.gmatch(redis.call('HGET', state.key, 'o') or '', '(%d+) (%d+) (%d+)') do
    local entry = {tonumber(at), tonumber(amount), tonumber(count)}
    -- No lease lasts as long: the clock was wrong when it was granted. It lasts no longer than one of now.
    if entry[1] > state.now + 2 * cell + 1 then entry[1], is_wrong = state.now + cell, true end
    -- What has ended is about to be returned.
    if entry[1] + cell > state.now then
      held, replicas = held + entry[2], math.max(replicas, entry[3])
      kept[#kept + 1] = entry
      if entry[1] == ends then mine = entry end
    end
  end
  if not mine then
    mine = {ends, 0, 0}
    kept[#kept + 1] = mine
  end
  if known ~= ends then mine[3] = mine[3] + 1 end
  replicas = math.max(replicas, mine[3])
  local left = take.ceiling - state.used
  local amount = math.min(take.amount, most - held, math.floor(most / (2 * replicas)), math.floor(left / (2 * replicas)))
  local is_granted = left >= held and amount >= least and amount > 0
  if not is_granted and not is_wrong then return 0 end
  if is_granted then mine[2] = mine[2] + amount end
  local words = {}
  for _, entry in ipairs(kept) do
    for _, number in ipairs(entry) do words[#words + 1] = text(number) end
  end
  redis.call('HSET', state.key, 'o', table.concat(words, ' '))
  if not is_granted then return 0 end
  if state.kind == 'r' then state.part = math.max(state.bucket, math.floor(time / state.length)) end
  state.ends_at = ends
  return amount
end

if takes_them then
  local mark = redis.call('GET', KEYS[1])
  if mark and string.sub(mark, 1, 1) == 'g' then
    local answer = {}
    for found in string.gmatch(string.sub(mark, 2), '%S+') do answer[#answer + 1] = tonumber(found) end
    return answer
  elseif mark then
    return {3, now}
  end
end

local states, takes = {}, {}
for i = 2, #KEYS do
  local key = KEYS[i]
  local take = {kind = word(), amount = number(), ceiling = number(), posture = word()}
  take.warnings = numbers(2 * number())
  local state = states[key]
  if take.kind == 'r' then
    local length = number()
    state = state or rolling(key, length)
  elseif take.kind == 'c' then
    local starts = numbers(number())
    state = state or calendar(key, starts)
    if not state then return {2, now} end
  else
    state = state or held(key)
  end
  state.key, state.pending = key, state.pending or 0
  take.state, states[key] = state, state
  takes[#takes + 1] = take
end

-- Warnings below which the use has fallen can be given again, except in a calendar's unit, which has each once.
local function rearm(state, warnings)
  if state.kind == 'c' then return end
  local reached = 0
  for i = 1, #warnings, 2 do
    if state.used >= warnings[i + 1] then reached = warnings[i] end
  end
  state.warned = math.min(state.warned, reached)
end

if verb == 'lease' then
  local take = takes[1]
  take.amount = lease(take.state, take, number(), number(), number(), number(), number())
  if take.amount == 0 then return {4, now} end
end

local refused
for i, take in ipairs(takes) do
  local state = take.state
  local used = state.used + state.pending
  take.fits = take.amount <= take.ceiling - used
  take.charged = (take.fits or take.posture ~= 's') and math.min(take.amount, MOST - used) or 0
  if not take.fits and take.posture == 'e' and takes_them then
    local time = wait(state, take)
    if not refused or (refused.wait >= 0 and (time < 0 or time > refused.wait)) then
      refused = {take = i - 1, wait = time}
    end
  end
  state.pending = state.pending + take.charged
end

if refused then
  local answer = {0, now, refused.take, refused.wait}
  for _, take in ipairs(takes) do
    answer[#answer + 1] = math.max(0, take.ceiling - take.state.used)
    answer[#answer + 1] = reset(take.state, 0)
  end
  return answer
end

local answer = {1, now}
for _, take in ipairs(takes) do
  local state = take.state
  local pending = takes_them and state.pending or 0
  rearm(state, take.warnings)
  local passed = 0
  for i = 1, #take.warnings, 2 do
    if state.used + pending >= take.warnings[i + 1] and take.warnings[i] > state.warned then
      passed = take.warnings[i]
    end
  end
  if takes_them and passed > 0 then state.warned, state.news = passed, state.used > 0 end
  for _, found in ipairs({takes_them and take.charged or 0, state.part or state.bucket, take.fits and 1 or 0,
    math.max(0, take.ceiling - state.used - pending), reset(state, pending), passed}) do
    answer[#answer + 1] = found
  end
end
if not takes_them then return answer end
if verb == 'lease' then
  local state = states[KEYS[2]]
  -- A calendar's time is a whole second that may have begun.
  answer[#answer + 1] = state.ends_at - math.max(state.now, now)
  answer[#answer + 1] = state.ends_at
end

for key, state in pairs(states) do
  if state.pending > 0 then
    charge(state)
  elseif state.news then
    redis.call('HSET', key, 'w', state.warned)
  end
end
local words = {}
for i, found in ipairs(answer) do words[i] = text(found) end
redis.call('SET', KEYS[1], 'g' .. table.concat(words, ' '), 'PX', open)
return answer
