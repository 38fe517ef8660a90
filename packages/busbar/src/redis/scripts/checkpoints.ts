/** Places of readers. `KEYS[1]` is what all keys of the store begin with, the first argument the name. Time is the server's. */
const prelude = `
local base, call = KEYS[1], redis.call
local checkpoint = base .. 'cp:' .. ARGV[1]
local function milliseconds()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function whole(number) return string.format('%.0f', number) end
local function holder(now)
  local owner, ends = unpack(call('HMGET', checkpoint, 'owner', 'ends'))
  if owner and tonumber(ends) > now then return owner end
end
local function isof(owner, token)
  local its = call('HMGET', checkpoint, 'owner', 'token')
  return its[1] == owner and its[2] == token
end
`

/** Arguments: name, owner, milliseconds. Answers with token and position, or nothing where another one has it. */
export const claim = `${prelude}
local owner, now = ARGV[2], milliseconds()
local before = call('HGET', checkpoint, 'owner')
if before ~= owner then
  if holder(now) then return false end
  -- One counter for all names: a claim from before a deletion never looks like one from after it.
  call('HSET', checkpoint, 'owner', owner, 'token', whole(call('HINCRBY', base .. 'head', 'token', 1)))
  call('HSETNX', checkpoint, 'position', '')
  call('HSETNX', checkpoint, 'at', whole(now))
end
call('HSET', checkpoint, 'ends', whole(now + tonumber(ARGV[3])))
return call('HMGET', checkpoint, 'token', 'position')
`

/** Arguments: name, owner, token, position. */
export const advance = `${prelude}
if not isof(ARGV[2], ARGV[3]) then return 0 end
call('HSET', checkpoint, 'position', ARGV[4], 'at', whole(milliseconds()))
return 1
`

/** Arguments: name, owner, token. */
export const release = `${prelude}
if isof(ARGV[2], ARGV[3]) then call('HDEL', checkpoint, 'owner', 'ends') end
return 1
`

/** Argument: name. Answers with position, time and owner (empty: nobody). */
export const get = `${prelude}
local position, at = unpack(call('HMGET', checkpoint, 'position', 'at'))
if not position then return false end
return { position, at, holder(milliseconds()) or '' }
`

/** Argument: name. */
export const drop = `${prelude}
if holder(milliseconds()) then return 0 end
call('DEL', checkpoint)
return 1
`
