/**
 * What scripts of the event store share. `KEYS[1]` is what all its keys begin with; so they live in one slot, and one script
 * may touch them together:
 *
 * - `all`: stream of all events, each under its position; `~stream` and `~revision` are its first fields
 * - `s:<stream>`: stream of the positions of one stream's events, each under its revision
 * - `m:<stream>`: hash, `r` last revision, `f` first that is kept, `d` when it was deleted, `by` by whom
 * - `t:<type>`, `k:<category>`, `kt:<category>:<type>`: streams whose ids are positions
 * - `c:<correlation id>`: sorted set of positions
 * - `ids`: hash of `position:revision:stream` by event id
 * - `head`: hash, `last` position, `count` of events, `token` of the last claim
 * - `removing`: set of streams whose `f` is ahead of what was taken out so far
 * - `cp:<name>`: hash of a checkpoint
 * - `grew`: channel of hints
 */
const prelude = `
local base, call = KEYS[1], redis.call
local function milliseconds()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function whole(number) return string.format('%.0f', number) end
-- Names of the indexes that an event is in, beside that of its correlation id.
local function indexes(category, kind)
  return base .. 't:' .. kind, base .. 'k:' .. category, base .. 'kt:' .. #category .. ':' .. category .. ':' .. kind
end
`

/**
 * Appends to all streams or to none. Everything is checked before anything is written, so that nothing can be half there.
 * Arguments: how many streams; for each its name, category, what is expected and how many events; for each event its id,
 * type, correlation id, the number of its fields, and these. Answers `ok` and for each stream its revision, position and whether it
 * was a repetition; else what is wrong, at which stream (0, 1 …), and its revision or the id.
 */
export const append = `${prelude}
local at, appends = 2, {}
for index = 1, tonumber(ARGV[1]) do
  local one = { stream = ARGV[at], category = ARGV[at + 1], expected = ARGV[at + 2], events = {} }
  local count = tonumber(ARGV[at + 3])
  at = at + 4
  for n = 1, count do
    local event = { id = ARGV[at], kind = ARGV[at + 1], correlation = ARGV[at + 2], from = at + 4 }
    event.to = at + 3 + tonumber(ARGV[at + 3])
    at = event.to + 1
    one.events[n] = event
  end
  appends[index] = one
end
local function known(events)
  local found = {}
  for from = 1, #events, 500 do
    local ids = {}
    for n = from, math.min(from + 499, #events) do ids[#ids + 1] = events[n].id end
    for n, value in ipairs(call('HMGET', base .. 'ids', unpack(ids))) do
      if value then
        local position, revision, stream = string.match(value, '^(%d+):(%d+):(.*)$')
        found[from + n - 1] = { position = tonumber(position), revision = tonumber(revision), stream = stream }
      end
    end
  end
  return found
end
local function repetition(one, found)
  local first = found[1]
  for n = 1, #one.events do
    local event = found[n]
    if not event or event.stream ~= one.stream or event.revision ~= first.revision + n - 1 then return nil end
  end
  return found[#one.events]
end
local function isas(expected, actual)
  if expected == 'any' then return true end
  if expected == 'none' then return actual == -1 end
  if expected == 'exists' then return actual >= 0 end
  return tonumber(expected) == actual
end
for index, one in ipairs(appends) do
  local found = known(one.events)
  one.before = repetition(one, found)
  if not one.before then
    local meta = call('HMGET', base .. 'm:' .. one.stream, 'r', 'd')
    one.revision = tonumber(meta[1] or -1)
    if meta[2] then return { 'deleted', index - 1 } end
    if not isas(one.expected, one.revision) then return { 'revision', index - 1, whole(one.revision) } end
    for n, event in ipairs(one.events) do
      if found[n] then return { 'known', index - 1, event.id } end
    end
  end
end
local now = whole(milliseconds())
local last = tonumber(call('HGET', base .. 'head', 'last') or 0)
local answer, ids, count = { 'ok' }, {}, 0
for _, one in ipairs(appends) do
  if one.before then
    answer[#answer + 1] = { whole(one.before.revision), whole(one.before.position), 1 }
  else
    for _, event in ipairs(one.events) do
      last, count, one.revision = last + 1, count + 1, one.revision + 1
      local position, revision = whole(last), whole(one.revision)
      call('XADD', base .. 'all', position .. '-0', '~stream', one.stream, '~revision', revision, '~at', now,
        unpack(ARGV, event.from, event.to))
      call('XADD', base .. 's:' .. one.stream, revision .. '-1', 'p', position)
      for _, key in ipairs({ indexes(one.category, event.kind) }) do call('XADD', key, position .. '-0', '', '') end
      call('ZADD', base .. 'c:' .. event.correlation, position, position)
      ids[#ids + 1] = event.id
      ids[#ids + 1] = position .. ':' .. revision .. ':' .. one.stream
    end
    call('HSET', base .. 'm:' .. one.stream, 'r', whole(one.revision))
    answer[#answer + 1] = { whole(one.revision), whole(last), 0 }
  end
end
for n = 1, #ids, 400 do call('HSET', base .. 'ids', unpack(ids, n, math.min(n + 399, #ids))) end
if count > 0 then
  call('HSET', base .. 'head', 'last', whole(last))
  call('HINCRBY', base .. 'head', 'count', count)
  -- A hint, if anybody listens: who may not send it delays others a little.
  local listening = redis.pcall('PUBSUB', 'NUMSUB', base .. 'grew')[2]
  if listening and listening > 0 then redis.pcall('PUBLISH', base .. 'grew', 'store 0') end
end
return answer
`

/**
 * A page of the whole store. Arguments: the position after which it begins, the most events, and the indexes whose union is asked
 * (none: all of them); one that begins with `c:` is of a correlation id. Answers with the position up to which it has looked,
 * whether there is more behind it (1 or 0), and the events.
 */
export const readAll = `${prelude}
local after, most = ARGV[1], tonumber(ARGV[2])
local function positions(key, count)
  if string.sub(key, 1, 2) == 'c:' then return call('ZRANGE', base .. key, '(' .. after, '+inf', 'BYSCORE', 'LIMIT', 0, count) end
  local found = {}
  for n, entry in ipairs(call('XRANGE', base .. key, '(' .. after .. '-0', '+', 'COUNT', count)) do
    found[n] = string.match(entry[1], '^%d+')
  end
  return found
end
local function page(count)
  if #ARGV == 2 then
    local entries = call('XRANGE', base .. 'all', '(' .. after .. '-0', '+', 'COUNT', count)
    if #entries > 0 then after = string.match(entries[#entries][1], '^%d+') end
    return entries, #entries == count
  end
  local found = {}
  for n = 3, #ARGV do
    for _, position in ipairs(positions(ARGV[n], count)) do found[#found + 1] = position end
  end
  if #ARGV > 3 then table.sort(found, function(a, b) return tonumber(a) < tonumber(b) end) end
  local entries = {}
  for n = 1, math.min(count, #found) do
    entries[#entries + 1] = call('XRANGE', base .. 'all', found[n] .. '-0', found[n] .. '-0')[1]
    after = found[n]
  end
  return entries, #found >= count
end
local firsts = {}
local function iskept(entry)
  local stream = entry[2][2]
  if firsts[stream] == nil then firsts[stream] = tonumber(call('HGET', base .. 'm:' .. stream, 'f') or 0) end
  return tonumber(entry[2][4]) >= firsts[stream]
end
local isremoving = call('EXISTS', base .. 'removing') == 1
local kept, more, rounds = {}, true, 0
-- What is being removed is passed over; not without end, for others wait.
while more and #kept < most and rounds < 8 do
  local entries
  entries, more = page(most - #kept)
  rounds = rounds + 1
  for _, entry in ipairs(entries) do
    if not isremoving or iskept(entry) then kept[#kept + 1] = entry end
  end
end
return { after, more and 1 or 0, kept }
`

/**
 * A page of one stream. Arguments: its name, the first and the last revision in the direction (empty: the end of the stream),
 * `forwards` or `backwards`, the most events. Answers with the events.
 */
export const readStream = `${prelude}
local stream, from, to, direction, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local first = call('HGET', base .. 'm:' .. stream, 'f') or '0'
local low, high = from, to
if direction == 'backwards' then low, high = to, from end
if low == '' or tonumber(low) < tonumber(first) then low = first end
high = high == '' and '+' or high .. '-1'
local found
if direction == 'backwards' then found = call('XREVRANGE', base .. 's:' .. stream, high, low .. '-1', 'COUNT', most)
else found = call('XRANGE', base .. 's:' .. stream, low .. '-1', high, 'COUNT', most) end
local entries = {}
for n, place in ipairs(found) do
  local id = place[2][2] .. '-0'
  entries[n] = call('XRANGE', base .. 'all', id, id)[1]
end
return entries
`

/**
 * From now on a stream begins at a revision (empty: it is deleted), for every reader; what is before it is taken out by `sweep`.
 * Arguments: its name, the revision, what is expected (empty: nothing), by whom it is deleted (empty: not said). Answers `ok`
 * and how many events are gone by it, else what is wrong and the stream's revision.
 */
export const remove = `${prelude}
local stream, revision, expected, by = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local meta = base .. 'm:' .. stream
local last, first, deleted = unpack(call('HMGET', meta, 'r', 'f', 'd'))
if deleted then return { 'ok', 0 } end
local actual = tonumber(last or -1)
if expected ~= '' then
  local right = expected == 'any' or (expected == 'exists' and actual >= 0) or tonumber(expected) == actual
  if not right then return { 'revision', whole(actual) } end
end
if actual == -1 then return { 'revision', '-1' } end
first = tonumber(first or 0)
local to = actual + 1
if revision ~= '' then to = math.min(to, tonumber(revision)) end
local gone = math.max(0, to - first)
if revision == '' then
  call('HSET', meta, 'd', whole(milliseconds()))
  if by ~= '' then call('HSET', meta, 'by', by) end
end
if gone > 0 then
  call('HSET', meta, 'f', whole(to))
  call('HINCRBY', base .. 'head', 'count', -gone)
  call('SADD', base .. 'removing', stream)
end
return { 'ok', whole(gone) }
`

/** Takes some events out that a stream no longer begins with. Arguments: its name, how many. Answers 1 where there are more. */
export const sweep = `${prelude}
local stream, most = ARGV[1], tonumber(ARGV[2])
local first, deleted = unpack(call('HMGET', base .. 'm:' .. stream, 'f', 'd'))
local places = base .. 's:' .. stream
local category = string.match(stream, '^[^-]*')
local found = call('XRANGE', places, '-', '(' .. (first or '0') .. '-1', 'COUNT', most)
local function take(key, id)
  call('XDEL', key, id)
  if call('XLEN', key) == 0 then call('DEL', key) end
end
for _, place in ipairs(found) do
  local position = place[2][2]
  local id = position .. '-0'
  local entry = call('XRANGE', base .. 'all', id, id)[1]
  if entry then
    local about = {}
    for n = 1, #entry[2], 2 do about[entry[2][n]] = entry[2][n + 1] end
    for _, key in ipairs({ indexes(category, about['type'] or '') }) do take(key, id) end
    call('ZREM', base .. 'c:' .. (about['correlationid'] or ''), position)
    call('XDEL', base .. 'all', id)
  end
  call('XDEL', places, place[1])
end
if #found == most then return 1 end
if deleted then call('DEL', places) end
call('SREM', base .. 'removing', stream)
return 0
`
