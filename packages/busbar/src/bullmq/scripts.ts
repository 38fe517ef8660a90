import type { Redis } from 'ioredis'

/**
 * What BullMQ has no command for and what must not come apart. They touch Busbar's own keys, and of a job only what every
 * BullMQ job has: its hash and its place in the set of failed ones.
 */
const NOW = `local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)`

const script = (numberOfKeys: number, lua: string): { readonly numberOfKeys: number; readonly lua: string } => ({
  numberOfKeys,
  lua,
})

/** A member comes or gives a sign of life, and with it what its group reads. 0: the group is being forgotten just now. */
const enter = script(
  3,
  `${NOW}
  local forgetting = redis.call('ZSCORE', KEYS[1], '!forgetting')
  if forgetting and tonumber(forgetting) > now then return 0 end
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
  for i = 3, #ARGV, 2 do
    if redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) == 1 then redis.call('INCR', KEYS[3]) end
  end
  return 1`,
)

/** A member goes; queues that were its alone are struck off. */
const leave = script(
  3,
  `redis.call('ZREM', KEYS[1], ARGV[1])
  for i = 2, #ARGV do
    if redis.call('HDEL', KEYS[2], ARGV[i]) == 1 then redis.call('INCR', KEYS[3]) end
  end
  return 1`,
)

/** Strikes off a group that has no member that lives. Returns how many live. With a time it cannot come back for so long. */
const strikeOff = script(
  3,
  `${NOW}
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  redis.call('ZREM', KEYS[1], '!forgetting')
  local members = redis.call('ZCARD', KEYS[1])
  if members > 0 then return members end
  if tonumber(ARGV[1]) > 0 then
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), '!forgetting')
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
  end
  for i = 2, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
  redis.call('INCR', KEYS[3])
  return 0`,
)

/** Deletes up to 500 jobs of a list with all that belongs to them. Returns how many are left. */
const clear = script(
  1,
  `local ids = redis.call('LRANGE', KEYS[1], 0, 499)
  for _, id in ipairs(ids) do redis.call('DEL', ARGV[1] .. id, ARGV[1] .. id .. ':lock', ARGV[1] .. id .. ':logs') end
  redis.call('LTRIM', KEYS[1], #ids, -1)
  return redis.call('LLEN', KEYS[1])`,
)

/** Writes what is known of a job's runs, where its lock is ours. */
const mark = script(
  2,
  `if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
  redis.call('HSET', KEYS[1], 'progress', ARGV[2])
  return 1`,
)

/** Notes which job is the letter of a message. Returns the one that was before, where that is a letter still. */
const note = script(
  3,
  `local before = redis.call('HGET', KEYS[1], ARGV[1])
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
  if before and before ~= ARGV[2] and redis.call('ZSCORE', KEYS[2], before) then return before end
  return false`,
)

/** Puts a letter in as a failed job; the earlier one of the same message goes. */
const put = script(
  3,
  `local before = redis.call('HGET', KEYS[1], ARGV[1])
  if before and redis.call('ZREM', KEYS[2], before) == 1 then redis.call('DEL', ARGV[5] .. before) end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
  redis.call('HSET', ARGV[5] .. ARGV[2], 'atm', 1, 'finishedOn', ARGV[6], unpack(ARGV, 7))
  redis.call('ZADD', KEYS[2], ARGV[6], ARGV[2])
  return 1`,
)

/** Makes a letter ready to go back: counts anew, perhaps edited. 0: it is no letter any more. */
const amend = script(
  3,
  `if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
  redis.call('HSET', KEYS[3], unpack(ARGV, 3))
  redis.call('HDEL', KEYS[3], 'stc', 'stacktrace')
  if redis.call('HGET', KEYS[1], ARGV[2]) == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[2]) end
  return 1`,
)

/** Deletes a letter for good. 0: it was none any more. */
const discard = script(
  2,
  `if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
  redis.call('DEL', ARGV[3] .. ARGV[1], ARGV[3] .. ARGV[1] .. ':logs')
  if redis.call('HGET', KEYS[1], ARGV[2]) == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[2]) end
  return 1`,
)

/** How many of a page of delayed jobs have been tried already, and how long the page is. */
const tried = script(
  1,
  `local ids = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[2] + 999)
  local count = 0
  for _, id in ipairs(ids) do
    if tonumber(redis.call('HGET', ARGV[1] .. id, 'atm') or '0') > 0 then count = count + 1 end
  end
  return { count, #ids }`,
)

export const scripts = {
  busbarEnter: enter,
  busbarLeave: leave,
  busbarStrikeOff: strikeOff,
  busbarClear: clear,
  busbarMark: mark,
  busbarNote: note,
  busbarPut: put,
  busbarAmend: amend,
  busbarDiscard: discard,
  busbarTried: tried,
} as const

type ScriptArgument = string | number

/** Runs one of the scripts; the keys come first. */
export function run(redis: Redis, script: keyof typeof scripts, args: readonly ScriptArgument[]): Promise<unknown> {
  const commands = redis as unknown as Record<string, (...args: readonly ScriptArgument[]) => Promise<unknown>>
  return (commands[script] as (typeof commands)[string]).apply(redis, args as never)
}
