/**
 * What the scripts share. `KEYS[1]` is the group's hash, `KEYS[2]` what all keys of the topic begin with.
 *
 * A message set aside is a hash `:a:<entry>`: the fields of the message, and beside them `~state` (`due`, `suspect`, `parked`,
 * `dead`), `~n` partition, `~due`, `~origin` and `~place` where it was, `~lane` its key, `~attempts`, `~redeliveries`, `~crashes`,
 * `~first` failure, `~failure` as JSON. Which are to be handed out is told by `:due:<n>` and `:suspects:<n>`; which have been,
 * by `:handed:<n>` (2: alone). `:letters` has those that are dead or parked, in order.
 *
 * The consumer group of a partition is called `<group>@<token>`, so that a token fences off the commands of an earlier owner, too.
 *
 * `:marks:<n>` tells of messages in line (pending in the stream's group) what is not all zero: `attempts:crashes:flag`, where
 * flag is `s` for a suspect and `x` for one that was started alone.
 */
export const prelude = `
local g, base = KEYS[1], KEYS[2]
local call = redis.call
local function servertime()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function streamof(n) return base .. n end
local function holds(n, token, lease)
  if call('HGET', g, 't:' .. n) ~= token then return false end
  call('HSET', g, 'e:' .. n, servertime() + lease)
  return true
end
local function signal(group) call('XADD', base .. 'signal', 'MAXLEN', 64, '*', 'group', group) end
-- In order over all topics: to the microsecond, less than any script takes, and within a script by number.
local function newentry()
  local t = call('TIME')
  return string.format('%010d%03d-%03d%010d', t[1], math.floor(t[2] / 1000), t[2] % 1000, call('INCR', base .. 'entries'))
end
local function aside(entry) return g .. ':a:' .. entry end
local function readmark(n, id)
  local mark = call('HGET', g .. ':marks:' .. n, id)
  if not mark then return 0, 0, '' end
  local a, c, f = string.match(mark, '^(%d+):(%d+):(%a*)$')
  return tonumber(a), tonumber(c), f
end
local function lineof(n, group) return group .. '@' .. (call('HGET', g, 't:' .. n) or '0') end
local function infoof(n, line)
  for _, info in ipairs(call('XINFO', 'GROUPS', streamof(n))) do
    local about = {}
    for i = 1, #info, 2 do about[info[i]] = info[i + 1] end
    if about['name'] == line then return about end
  end
end
-- Everything open in a line, page by page.
local function eachopen(n, line, take)
  local from = '-'
  repeat
    local page = call('XPENDING', streamof(n), line, from, '+', 1000)
    if #page > 0 then
      take(page)
      from = '(' .. page[#page][1]
    end
  until #page < 1000
end
-- The next token, and with it another name of the line: whatever is sent under the old one finds nothing any more.
local function fence(n, group)
  local stream, before = streamof(n), lineof(n, group)
  local about = infoof(n, before)
  local token = call('HINCRBY', g, 't:' .. n, 1)
  if not about then return token, '0-0' end
  local after, last = group .. '@' .. token, about['last-delivered-id']
  if about['entries-read'] then call('XGROUP', 'CREATE', stream, after, last, 'ENTRIESREAD', about['entries-read'])
  else call('XGROUP', 'CREATE', stream, after, last) end
  eachopen(n, before, function(page)
    local ids = {}
    for _, one in ipairs(page) do ids[#ids + 1] = one[1] end
    ids[#ids + 1] = 'FORCE'
    ids[#ids + 1] = 'JUSTID'
    call('XCLAIM', stream, after, 'busbar', 0, unpack(ids))
  end)
  call('XGROUP', 'DESTROY', stream, before)
  return token, last
end
local function settleline(n, group, id)
  call('XACK', streamof(n), lineof(n, group), id)
  call('HDEL', g .. ':marks:' .. n, id)
end
local function keyof(fields)
  local subject
  for i = 1, #fields, 2 do
    if fields[i] == 'partitionkey' then return fields[i + 1] end
    if fields[i] == 'subject' then subject = fields[i + 1] end
  end
  return subject or ''
end
local function field(fields, name)
  for i = 1, #fields, 2 do if fields[i] == name then return fields[i + 1] end end
end
-- Sorts as the ids of a stream do, as text.
local function sortable(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if not ms then return string.rep('9', 36) end
  return string.rep('0', 15 - #ms) .. ms .. '-' .. string.rep('0', 20 - #seq) .. seq
end
local function store(entry, fields, meta)
  local key = aside(entry)
  for i = 1, #fields, 200 do call('HSET', key, unpack(fields, i, math.min(i + 199, #fields))) end
  call('HSET', key, unpack(meta))
end
local function forget(n, entry)
  local key = aside(entry)
  local lane, origin, id, place = unpack(call('HMGET', key, '~lane', '~origin', 'id', '~place'))
  id = id or place
  call('ZREM', g .. ':due:' .. n, entry)
  call('ZREM', g .. ':suspects:' .. n, entry)
  call('HDEL', g .. ':handed:' .. n, entry)
  call('ZREM', g .. ':letters', entry)
  if id and call('HGET', g .. ':dead', id) == entry then call('HDEL', g .. ':dead', id) end
  if lane and lane ~= '' then
    call('SREM', g .. ':heads:' .. lane, entry)
    call('ZREM', g .. ':parked:' .. lane, sortable(origin or '') .. '|' .. entry)
  end
  call('DEL', key)
  return lane or ''
end
-- Puts a new letter in the index first: where that fails, nothing has changed.
local function index(n, entry, state, due, lane, origin, id)
  if state == 'dead' then
    call('ZADD', g .. ':letters', 0, entry)
    local before = call('HGET', g .. ':dead', id)
    if before and before ~= entry then forget(n, before) end
    call('HSET', g .. ':dead', id, entry)
  elseif state == 'parked' then
    call('ZADD', g .. ':letters', 0, entry)
  else
    call('ZADD', g .. ':due:' .. n, due, entry)
  end
  if lane == '' then return end
  call('SADD', g .. ':lanes:' .. n, lane)
  if state == 'parked' then call('ZADD', g .. ':parked:' .. lane, 0, sortable(origin) .. '|' .. entry)
  else call('SADD', g .. ':heads:' .. lane, entry) end
end
-- Lets the first parked message of a lane go if nothing is before it. Whether anything of the lane is still set aside.
local function advance(n, lane, now)
  if lane == '' then return false end
  if call('SCARD', g .. ':heads:' .. lane) > 0 then return true end
  local first = call('ZRANGE', g .. ':parked:' .. lane, 0, 0)[1]
  if not first then
    call('SREM', g .. ':lanes:' .. n, lane)
    return false
  end
  local entry = string.match(first, '|(.*)$')
  call('ZREM', g .. ':parked:' .. lane, first)
  call('ZREM', g .. ':letters', entry)
  call('SADD', g .. ':heads:' .. lane, entry)
  call('HSET', aside(entry), '~state', 'due', '~due', now)
  call('HDEL', aside(entry), '~failure', '~first')
  call('ZADD', g .. ':due:' .. n, now, entry)
  return true
end
local function park(n, group, id, fields, now)
  local entry, lane = newentry(), keyof(fields)
  local attempts, crashes = readmark(n, id)
  local failure = cjson.encode({ reason = 'parked', handler = group, attempts = attempts, firstFailedAt = now,
    lastFailedAt = now, error = { name = 'Parked', message = 'waits behind an earlier message of the same key' } })
  index(n, entry, 'parked', 0, lane, id, field(fields, 'id') or '')
  store(entry, fields, { '~state', 'parked', '~n', n, '~origin', id, '~place', n .. '@' .. id, '~lane', lane,
    '~attempts', attempts, '~redeliveries', 0, '~crashes', crashes, '~failure', failure })
  settleline(n, group, id)
end
`
