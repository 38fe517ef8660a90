/** Milliseconds that a publisher that says nothing is remembered: a batch is not sent again later than that. */
const REMEMBERED = 86_400_000

/**
 * Appends a batch, once: a publisher that got no answer sends it again under the same number, and gets the answer that it missed.
 * Returns a line of `index reason` for each message that could not be appended. `KEYS[1]` is what all keys of the topic begin with.
 * Arguments: publisher, number of the batch, count, whether the publisher listens itself (1 or 0), then for each message its
 * partition, when it is due (empty: now), the number of its fields, and these.
 */
export const publish = `
local base = KEYS[1]
local publisher = base .. 'publisher:' .. ARGV[1]
local before = redis.call('GET', publisher)
if before then
  local number, outcome = string.match(before, '^(%d+) (.*)$')
  if number == ARGV[2] then return outcome end
end
local function delay(n, due, from, to)
  local number = redis.call('INCR', base .. 'entries')
  local key = base .. 'delayed:' .. string.format('%d', number)
  redis.call('HSET', key, '~n', n)
  for i = from, to, 200 do redis.call('HSET', key, unpack(ARGV, i, math.min(i + 199, to))) end
  redis.call('ZADD', base .. 'delayed', due, string.format('%020d', number))
  redis.call('XADD', base .. 'signal', 'MAXLEN', 64, '*', 'delayed', due)
end
local failed, grown, known, at = {}, {}, {}, 5
for index = 0, tonumber(ARGV[3]) - 1 do
  local n, due, from = ARGV[at], ARGV[at + 1], at + 3
  at = from + ARGV[at + 2]
  local ok, err
  if due == '' then
    local reply = redis.pcall('XADD', base .. n, '*', unpack(ARGV, from, at - 1))
    err = type(reply) == 'table' and reply.err
    if not known[n] then
      known[n] = true
      grown[#grown + 1] = n
    end
  else
    ok, err = pcall(delay, n, due, from, at - 1)
    err = not ok and (type(err) == 'table' and err.err or tostring(err))
  end
  if err then failed[#failed + 1] = index .. ' ' .. string.gsub(err, '%s+', ' ') end
end
-- A hint, if anybody else listens: who may not send it delays others a little.
local listening = redis.pcall('PUBSUB', 'NUMSUB', base .. 'grew')[2]
if listening and listening > tonumber(ARGV[4]) then
  redis.pcall('PUBLISH', base .. 'grew', ARGV[1] .. ' ' .. table.concat(grown, ' '))
end
local outcome = table.concat(failed, '\\n')
redis.call('SET', publisher, ARGV[2] .. ' ' .. outcome, 'PX', ${REMEMBERED})
return outcome
`
