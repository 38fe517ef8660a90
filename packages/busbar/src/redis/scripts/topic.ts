/** Scripts over a whole topic: `KEYS[1]` is what all its keys begin with. */

/** Moves delayed messages that are due to the end of the log. Returns the time of the next, or an empty text. Arguments: now, limit. */
export const moveDelayed = `
local base = KEYS[1]
for _, number in ipairs(redis.call('ZRANGEBYSCORE', base .. 'delayed', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local key = base .. 'delayed:' .. string.gsub(number, '^0+', '')
  local n
  local fields = {}
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if all[i] == '~n' then n = all[i + 1] else
      fields[#fields + 1] = all[i]
      fields[#fields + 1] = all[i + 1]
    end
  end
  if n then
    redis.call('XADD', base .. n, '*', unpack(fields))
    redis.pcall('PUBLISH', base .. 'grew', '- ' .. n)
  end
  redis.call('DEL', key)
  redis.call('ZREM', base .. 'delayed', number)
end
return redis.call('ZRANGE', base .. 'delayed', 0, 0, 'WITHSCORES')[2] or ''
`

/**
 * Deletes what is older than an id, and nothing that a group has not settled. Returns how many. Arguments: partitions, id.
 * The oldest message that is still needed is the first pending one of any group, or the one after what it has read.
 */
export const trim = `
local base, partitions = KEYS[1], tonumber(ARGV[1])
local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-?(%d*)$')
  return tonumber(ms), tonumber(seq) or 0
end
local function before(a, b)
  local am, as = parse(a)
  local bm, bs = parse(b)
  return am < bm or (am == bm and as < bs)
end
local trimmed = 0
for n = 0, partitions - 1 do
  local stream = base .. n
  if redis.call('EXISTS', stream) == 1 then
    local oldest = ARGV[2]
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
      local group = {}
      for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
      -- What was read and settled is not needed: the one after it is.
      local ms, seq = string.match(group['last-delivered-id'], '^(%d+)-(%d+)$')
      local needed = ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
      if group['pending'] > 0 then needed = redis.call('XPENDING', stream, group['name'])[2] end
      if before(needed, oldest) then oldest = needed end
    end
    trimmed = trimmed + redis.call('XTRIM', stream, 'MINID', oldest)
  end
end
return trimmed
`

/** Numbers of a topic: depth, delayed, then for each group its name, lag, redelivering, parked, dead. Argument: partitions. */
export const measure = `
local base, partitions = KEYS[1], tonumber(ARGV[1])
local depth, lags = 0, {}
for n = 0, partitions - 1 do
  local stream = base .. n
  if redis.call('EXISTS', stream) == 1 then
    depth = depth + redis.call('XLEN', stream)
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
      local group = {}
      for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
      local lag = group['lag']
      if not lag then
        -- The server does not know it for a group that began in the middle: counted.
        lag = 0
        local from = '(' .. group['last-delivered-id']
        repeat
          local page = redis.call('XRANGE', stream, from, '+', 'COUNT', 500)
          lag = lag + #page
          if #page > 0 then from = '(' .. page[#page][1] end
        until #page < 500
      end
      local name = string.match(group['name'], '^(.*)@%d+$') or group['name']
      lags[name] = (lags[name] or 0) + lag + group['pending']
    end
  end
end
local groups = {}
local names = redis.call('SMEMBERS', base .. 'groups')
table.sort(names)
for _, name in ipairs(names) do
  local g = base .. 'g:' .. name
  local redelivering = redis.call('ZCARD', g .. ':due:b')
  for n = 0, partitions - 1 do
    redelivering = redelivering + redis.call('ZCARD', g .. ':due:' .. n) + redis.call('ZCARD', g .. ':suspects:' .. n)
      + redis.call('HLEN', g .. ':handed:' .. n)
  end
  local dead = redis.call('HLEN', g .. ':dead')
  groups[#groups + 1] = { name, (lags[name] or 0) + redelivering, redelivering,
    redis.call('ZCARD', g .. ':letters') - dead, dead }
end
return { depth, redis.call('ZCARD', base .. 'delayed'), groups }
`
