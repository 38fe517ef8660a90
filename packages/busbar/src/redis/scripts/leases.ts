import { prelude } from './prelude.ts'

/** Makes the consumer groups of a group that the topic has never seen, and enters a member. */
export const enter = `${prelude}
local group, member, lease, partitions, from = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
if call('HSETNX', g, 'made', 1) == 1 then
  for n = 0, partitions - 1 do call('XGROUP', 'CREATE', streamof(n), lineof(n, group), from, 'MKSTREAM') end
end
call('SADD', base .. 'groups', group)
call('ZADD', g .. ':members', servertime() + lease, member)
signal(group)
`

/** Sign of life of a member: renews its leases. Returns the partitions it has with tokens, those that are free, and who lives. */
export const beat = `${prelude}
local member, lease, partitions = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = servertime()
call('ZREMRANGEBYSCORE', g .. ':members', '-inf', now - 2 * lease)
call('ZADD', g .. ':members', now + lease, member)
local held, free = {}, {}
local state = {}
local all = call('HGETALL', g)
for i = 1, #all, 2 do state[all[i]] = all[i + 1] end
for n = 0, partitions - 1 do
  local owner = state['o:' .. n]
  if owner == member then
    call('HSET', g, 'e:' .. n, now + lease)
    held[#held + 1] = tostring(n)
    held[#held + 1] = state['t:' .. n]
  elseif not owner or tonumber(state['e:' .. n] or 0) <= now then
    free[#free + 1] = tostring(n)
  end
end
local alive = call('ZRANGEBYSCORE', g .. ':members', '(' .. now, '+inf')
return { held, free, alive }
`

/** Takes a partition if it is free. After an owner that died, what it had open becomes suspect. */
export const claim = `${prelude}
local n, group, member, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local now = servertime()
local owner = call('HGET', g, 'o:' .. n)
if owner and tonumber(call('HGET', g, 'e:' .. n) or 0) > now then return false end
local token, last = fence(n, group)
call('HSET', g, 'o:' .. n, member, 'e:' .. n, now + lease)
local open = {}
eachopen(n, lineof(n, group), function(page)
  for _, one in ipairs(page) do open[#open + 1] = one[1] end
end)
if owner then
  local handed = call('HGETALL', g .. ':handed:' .. n)
  local alone = #open + #handed / 2 == 1
  for _, id in ipairs(open) do
    local attempts, crashes, flag = readmark(n, id)
    if flag ~= 's' then attempts = attempts + 1 end
    if flag == 'x' or (alone and flag == '') then crashes = crashes + 1 end
    call('HSET', g .. ':marks:' .. n, id, attempts .. ':' .. crashes .. ':s')
  end
  for i = 1, #handed, 2 do
    local key = aside(handed[i])
    call('HINCRBY', key, '~attempts', 1)
    if handed[i + 1] == '2' or alone then call('HINCRBY', key, '~crashes', 1) end
    call('HSET', key, '~state', 'suspect')
    call('ZADD', g .. ':suspects:' .. n, call('HGET', key, '~due') or 0, handed[i])
  end
  call('DEL', g .. ':handed:' .. n)
end
local items = {}
for _, id in ipairs(open) do
  local attempts, crashes, flag = readmark(n, id)
  items[#items + 1] = { id, tostring(attempts), tostring(crashes), flag }
end
return { tostring(token), items, last }
`

/**
 * After a connection broke: what was handed to this owner and never reached it. Returns all ids that are open, and gives back
 * what is set aside and not among the arguments. False: the lease is lost. Arguments: n, token, group, entries …
 */
export const resync = `${prelude}
local n, token, group = ARGV[1], ARGV[2], ARGV[3]
if call('HGET', g, 't:' .. n) ~= token then return false end
local known = {}
for i = 4, #ARGV do known[ARGV[i]] = true end
for _, entry in ipairs(call('HKEYS', g .. ':handed:' .. n)) do
  if not known[entry] then
    call('HDEL', g .. ':handed:' .. n, entry)
    local state, due = unpack(call('HMGET', aside(entry), '~state', '~due'))
    call('ZADD', g .. (state == 'suspect' and ':suspects:' or ':due:') .. n, due or 0, entry)
  end
end
local items = {}
eachopen(n, lineof(n, group), function(page)
  for _, one in ipairs(page) do
    local attempts, crashes, flag = readmark(n, one[1])
    items[#items + 1] = { one[1], tostring(attempts), tostring(crashes), flag }
  end
end)
return items
`

/** Gives a partition up, clean. Arguments: n, token, group, then `id mark` and, after an empty text, `entry attempts` pairs. */
export const release = `${prelude}
local n, token, group = ARGV[1], ARGV[2], ARGV[3]
if call('HGET', g, 't:' .. n) ~= token then return 0 end
local i = 4
while ARGV[i] ~= '' do
  call('HSET', g .. ':marks:' .. n, ARGV[i], ARGV[i + 1])
  i = i + 2
end
i = i + 1
while ARGV[i] do
  call('HSET', aside(ARGV[i]), '~attempts', ARGV[i + 1])
  i = i + 2
end
for _, entry in ipairs(call('HKEYS', g .. ':handed:' .. n)) do
  local state, due = unpack(call('HMGET', aside(entry), '~state', '~due'))
  call('ZADD', g .. (state == 'suspect' and ':suspects:' or ':due:') .. n, due or 0, entry)
end
call('DEL', g .. ':handed:' .. n)
-- The token moves on, so that nothing of this owner is taken any more.
fence(n, group)
call('HDEL', g, 'o:' .. n, 'e:' .. n)
signal(group)
return 1
`

/** A member leaves. */
export const leave = `${prelude}
call('ZREM', g .. ':members', ARGV[2])
signal(ARGV[1])
`

/** Forgets a group, but for its dead letters. Returns how many members hinder it. */
export const dropGroup = `${prelude}
local group, partitions, check = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local members = call('ZCOUNT', g .. ':members', '(' .. servertime(), '+inf')
if members > 0 or check == '1' then return members end
for n = 0, partitions - 1 do
  if call('EXISTS', streamof(n)) == 1 then call('XGROUP', 'DESTROY', streamof(n), lineof(n, group)) end
  for _, set in ipairs({ ':due:', ':suspects:' }) do
    for _, entry in ipairs(call('ZRANGE', g .. set .. n, 0, -1)) do forget(n, entry) end
  end
  for _, entry in ipairs(call('HKEYS', g .. ':handed:' .. n)) do forget(n, entry) end
  for _, entry in ipairs(call('ZRANGE', g .. ':letters', 0, -1)) do
    local state, at = unpack(call('HMGET', aside(entry), '~state', '~n'))
    if state == 'parked' and at == tostring(n) then forget(n, entry) end
  end
  for _, lane in ipairs(call('SMEMBERS', g .. ':lanes:' .. n)) do
    if call('SCARD', g .. ':heads:' .. lane) == 0 then call('SREM', g .. ':lanes:' .. n, lane) end
  end
  call('DEL', g .. ':marks:' .. n)
  -- Tokens stay, so that none is ever given twice.
  call('HDEL', g, 'o:' .. n, 'e:' .. n)
end
call('HDEL', g, 'made')
call('DEL', g .. ':members')
if call('ZCARD', g .. ':letters') == 0 then call('SREM', base .. 'groups', group) end
return 0
`
