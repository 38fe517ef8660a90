import { prelude } from './prelude.ts'

/**
 * Takes verdicts that count only when they are stored. Each on its own: returns for each the reason why it could not be
 * stored, or an empty text. A verdict that was taken before changes nothing. False: the lease is lost.
 * Arguments: n, token, group, lease, now, then eleven for each verdict.
 */
export const settle = `${prelude}
local n, token, group, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if not holds(n, token, lease) then return false end
local now = ARGV[5]
local stream, handed, consumers = streamof(n), g .. ':handed:' .. n, lineof(n, group)
local function one(what, id, entry, lane, due, attempts, redeliveries, crashes, first, failure, place)
  if entry ~= '' then
    if call('HEXISTS', handed, entry) == 0 then return end
    local key = aside(entry)
    if what == 'ack' then
      advance(n, forget(n, entry), now)
    elseif what == 'release' then
      call('HDEL', handed, entry)
      local state, at = unpack(call('HMGET', key, '~state', '~due'))
      call('HSET', key, '~attempts', attempts)
      call('ZADD', g .. (state == 'suspect' and ':suspects:' or ':due:') .. n, at or 0, entry)
    elseif what == 'redeliver' then
      call('HDEL', handed, entry)
      call('HSET', key, '~state', 'due', '~due', due, '~attempts', attempts)
      call('HINCRBY', key, '~redeliveries', 1)
      call('HSETNX', key, '~first', first)
      call('ZADD', g .. ':due:' .. n, due, entry)
    else
      local letter = newentry()
      local own = call('HGET', key, 'id') or ''
      call('ZADD', g .. ':letters', 0, letter)
      local fields = call('HGETALL', key)
      store(letter, fields, { '~state', 'dead', '~attempts', attempts, '~first', first, '~failure', failure })
      forget(n, entry)
      index(n, letter, 'dead', 0, lane, id, own)
    end
    return
  end
  if not call('XPENDING', stream, consumers, id, id, 1)[1] then return end
  local found = call('XRANGE', stream, id, id)[1]
  if not found then return settleline(n, group, id) end
  local fields = found[2]
  if what == 'park' then return park(n, group, id, fields, tonumber(now)) end
  local fresh = newentry()
  local state = what == 'dead' and 'dead' or 'due'
  index(n, fresh, state, due, lane, id, field(fields, 'id') or place)
  store(fresh, fields, { '~state', state, '~n', n, '~due', due, '~origin', id, '~place', place, '~lane', lane,
    '~attempts', attempts, '~redeliveries', redeliveries, '~crashes', crashes, '~first', first, '~failure', failure })
  settleline(n, group, id)
end
local results = {}
for i = 6, #ARGV, 11 do
  local ok, err = pcall(one, unpack(ARGV, i, i + 10))
  if ok then results[#results + 1] = ''
  else results[#results + 1] = type(err) == 'table' and (err.err or 'failed') or tostring(err) end
end
return results
`
