import { prelude } from './prelude.ts'

/**
 * One step of one partition: takes acks and marks, then hands out what comes next. False: the lease is lost.
 * Arguments: n, token, group, lease, now, limit, parks, suspects, log, then four lists, each after its length: ids to ack,
 * `id mark` pairs, `entry attempts` pairs, ids of the backlog to read.
 */
export const step = `${prelude}
local n, token, group, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if not holds(n, token, lease) then return false end
local now, limit = tonumber(ARGV[5]), tonumber(ARGV[6])
local parks, suspects, log = ARGV[7] == '1', ARGV[8] == '1', ARGV[9] == '1'
local at = 10
local function take(width)
  local count = tonumber(ARGV[at]) * width
  local from = at + 1
  at = from + count
  return from, at - 1
end
local stream, marks, consumers = streamof(n), g .. ':marks:' .. n, lineof(n, group)
local from, to = take(1)
for i = from, to, 500 do
  call('XACK', stream, consumers, unpack(ARGV, i, math.min(i + 499, to)))
  call('HDEL', marks, unpack(ARGV, i, math.min(i + 499, to)))
end
from, to = take(2)
for i = from, to, 2 do call('HSET', marks, ARGV[i], ARGV[i + 1]) end
from, to = take(2)
for i = from, to, 2 do
  if call('EXISTS', aside(ARGV[i])) == 1 then call('HSET', aside(ARGV[i]), '~attempts', ARGV[i + 1]) end
end
from, to = take(1)
local asides, line, more, last = {}, {}, 0, ''
local function handaside(set, count, how)
  for _, entry in ipairs(call('ZRANGEBYSCORE', g .. set .. n, '-inf', now, 'LIMIT', 0, count)) do
    call('ZREM', g .. set .. n, entry)
    call('HSET', g .. ':handed:' .. n, entry, how)
    asides[#asides + 1] = { entry, how, call('HGETALL', aside(entry)) }
    limit = limit - 1
  end
end
local function inline(id, fields)
  if parks then
    local lane = keyof(fields)
    if lane ~= '' and call('SISMEMBER', g .. ':lanes:' .. n, lane) == 1 and advance(n, lane, now) then
      park(n, group, id, fields, now)
      return
    end
  end
  line[#line + 1] = { id, fields }
end
if limit > 0 then handaside(':due:', limit, '1') end
if limit > 0 and suspects then handaside(':suspects:', 1, '2') end
for i = from, to do
  local found = call('XRANGE', stream, ARGV[i], ARGV[i])[1]
  if found then inline(found[1], found[2]) else settleline(n, group, ARGV[i]) end
  limit = limit - 1
end
if log and limit > 0 then
  local reply = call('XREADGROUP', 'GROUP', consumers, 'busbar', 'COUNT', limit, 'STREAMS', stream, '>')
  local entries = reply and reply[1] and reply[1][2] or {}
  for _, one in ipairs(entries) do inline(one[1], one[2]) end
  if #entries >= limit then more = 1 end
  if #entries > 0 then last = entries[#entries][1] end
end
local function first(set)
  local one = call('ZRANGE', g .. set .. n, 0, 0, 'WITHSCORES')
  return one[2] or ''
end
return { asides, line, more, first(':due:'), first(':suspects:'), last }
`
