import { prelude } from './prelude.ts'

/** Sets a message aside that was never in line of the group. Arguments: group, n, state, due, lane, place, redeliveries, attempts, first, failure, fields … */
export const put = `${prelude}
local group, n, state, due, lane, place, redeliveries, attempts, first, failure = unpack(ARGV, 1, 10)
local fields = {}
for i = 11, #ARGV do fields[#fields + 1] = ARGV[i] end
local entry = newentry()
index(n, entry, state, due, lane, '', field(fields, 'id') or place)
local meta = { '~state', state, '~n', n, '~due', due, '~origin', '', '~place', place, '~lane', lane, '~attempts', attempts,
  '~redeliveries', redeliveries, '~crashes', 0 }
if first ~= '' then meta[#meta + 1] = '~first'; meta[#meta + 1] = first end
if failure ~= '' then meta[#meta + 1] = '~failure'; meta[#meta + 1] = failure end
store(entry, fields, meta)
call('SADD', base .. 'groups', group)
signal(group)
return entry
`

/** A dead letter goes back to its group. Arguments: group, entry, now, then the fields of the message if it was edited. */
export const redrive = `${prelude}
local group, entry, now = ARGV[1], ARGV[2], ARGV[3]
local key = aside(entry)
local state, n, lane, place, origin, id = unpack(call('HMGET', key, '~state', '~n', '~lane', '~place', '~origin', 'id'))
if state ~= 'dead' then return 0 end
call('ZREM', g .. ':letters', entry)
if call('HGET', g .. ':dead', id or place) == entry then call('HDEL', g .. ':dead', id or place) end
if ARGV[4] then
  call('DEL', key)
  local fields = {}
  for i = 4, #ARGV do fields[#fields + 1] = ARGV[i] end
  store(entry, fields, { '~n', n, '~lane', lane, '~place', place, '~origin', origin })
end
call('HSET', key, '~state', 'due', '~due', now, '~attempts', 0, '~redeliveries', 0, '~crashes', 0)
call('HDEL', key, '~first', '~failure')
call('ZADD', g .. ':due:' .. n, now, entry)
signal(group)
return 1
`

/** Deletes a letter for good. Arguments: group, entry, now. */
export const discard = `${prelude}
local group, entry, now = ARGV[1], ARGV[2], ARGV[3]
local state, n, id, place = unpack(call('HMGET', aside(entry), '~state', '~n', 'id', '~place'))
if state ~= 'dead' and state ~= 'parked' then return 0 end
if call('HGET', g .. ':dead', id or place) == entry then call('HDEL', g .. ':dead', id or place) end
advance(n, forget(n, entry), now)
signal(group)
return 1
`

/** Takes letters of a broadcast group that were redriven: whoever takes one has it in memory alone from then on. */
export const takeRedriven = `${prelude}
local taken = {}
for _, entry in ipairs(call('ZRANGEBYSCORE', g .. ':due:b', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  taken[#taken + 1] = { entry, '0', call('HGETALL', aside(entry)) }
  forget('b', entry)
end
return taken
`
