/** A hint, if anybody else listens: who may not send it delays others a little. `KEYS` and the first three arguments are those of `publish`. */
const hint = (grown: string): string => `
local listening = redis.pcall('PUBSUB', 'NUMSUB', base .. 'grew')[2]
if listening and listening > tonumber(ARGV[3]) then
  redis.pcall('PUBLISH', base .. 'grew', ARGV[1] .. ' ' .. ${grown})
end
`

/** What the publisher's last batch came to, if it is this one. */
const known = `
local base = KEYS[1]
local publisher = base .. 'publisher:' .. ARGV[1]
local before = redis.call('GET', publisher)
if before then
  local number, outcome = string.match(before, '^(%d+) (.*)$')
  if number == ARGV[2] then return outcome end
end
`

/** Milliseconds that a publisher that says nothing is remembered: a batch is not sent again later than that. */
const REMEMBERED = 86_400_000

/**
 * Appends a batch, once: a publisher that got no answer sends it again under the same number, and gets the answer that it missed.
 * Returns a line of `index reason` for each message that could not be appended. `KEYS[1]` is what all keys of the topic begin with.
 * Arguments: publisher, number of the batch, whether the publisher listens itself (1 or 0), then what `pack` makes of the messages.
 */
export const publish = `${known}
local at = 4
local function take()
  at = at + 1
  return ARGV[at - 1]
end
local shapes = {}
for index = 1, tonumber(take()) do
  local length, delayed, width, count = tonumber(take()), take() == '1', tonumber(take()), tonumber(take())
  local places, values, texts = {}, {}, {}
  for i = 1, count do
    places[i] = tonumber(take())
    values[i] = tonumber(take())
  end
  for i = 1, length do texts[i] = take() end
  shapes[index] = { delayed = delayed, width = width, places = places, values = values, texts = texts }
end
local function delay(n, due, texts)
  local number = redis.call('INCR', base .. 'entries')
  local key = base .. 'delayed:' .. string.format('%d', number)
  redis.call('HSET', key, '~n', n)
  for i = 1, #texts, 200 do redis.call('HSET', key, unpack(texts, i, math.min(i + 199, #texts))) end
  redis.call('ZADD', base .. 'delayed', due, string.format('%020d', number))
  redis.call('XADD', base .. 'signal', 'MAXLEN', 64, '*', 'delayed', due)
end
local failed, grown, streams, index, last = {}, {}, {}, 0, #ARGV
local send = redis.pcall
while at <= last do
  local shape, count = shapes[tonumber(take())], tonumber(take())
  local places, values, texts, width = shape.places, shape.values, shape.texts, shape.width
  local slots = #places
  for _ = 1, count do
    local n, ok, err = ARGV[at]
    local due = shape.delayed and ARGV[at + 1]
    if due then at = at + 1 end
    for i = 1, slots do texts[places[i]] = ARGV[at + values[i]] end
    at = at + 1 + width
    if due then
      ok, err = pcall(delay, n, due, texts)
      err = not ok and (type(err) == 'table' and err.err or tostring(err))
    else
      local stream = streams[n]
      if not stream then
        stream = base .. n
        streams[n] = stream
        grown[#grown + 1] = n
      end
      local reply = send('XADD', stream, '*', unpack(texts))
      err = type(reply) == 'table' and reply.err
    end
    if err then failed[#failed + 1] = index .. ' ' .. string.gsub(err, '%s+', ' ') end
    index = index + 1
  end
end
${hint("table.concat(grown, ' ')")}
local outcome = table.concat(failed, '\\n')
redis.call('SET', publisher, ARGV[2] .. ' ' .. outcome, 'PX', ${REMEMBERED})
return outcome
`

/**
 * The same for a batch of one message without a delay: half the time, and that is most of what its publisher waits for. Its arguments
 * after the first three: partition, then names and values in turn.
 */
export const publishOne = `${known}
local reply = redis.pcall('XADD', base .. ARGV[4], '*', unpack(ARGV, 5))
local outcome = type(reply) == 'table' and '0 ' .. string.gsub(reply.err, '%s+', ' ') or ''
${hint('ARGV[4]')}
redis.call('SET', publisher, ARGV[2] .. ' ' .. outcome, 'PX', ${REMEMBERED})
return outcome
`
