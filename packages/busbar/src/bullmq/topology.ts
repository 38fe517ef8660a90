import type { Redis } from 'ioredis'
import { BrokerError } from '../broker/index.ts'
import type { BullMqContext } from './context.ts'
import type { Queue } from './queues.ts'

/** Redis 6.2: `ZRANGE … BYSCORE`. */
const OLDEST: readonly [number, number] = [6, 2]

/** What is not on the server as it should be. */
export interface Difference {
  /** `server`, or the name of a queue. */
  readonly where: string
  /** As Redis or BullMQ calls it. */
  readonly setting: string
  readonly expected: string
  readonly actual: string
  /** What may come of it. */
  readonly consequence: string
}

/** @throws BrokerError where the server is too old, or the user may not do what is needed. */
export async function checkServer({ redis, connections, settings }: BullMqContext): Promise<void> {
  const { where } = connections
  try {
    const [major, minor] = versionOf(await redis.info('server'))
    if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
      throw new BrokerError(
        `the Redis server ${where} is version ${major}.${minor}; Redis ${OLDEST.join('.')} or newer is needed`,
      )
    }
    await redis.set(`${settings.prefix}:ping`, Date.now(), 'PX', 60_000)
    await redis.eval('return redis.call("EXISTS", KEYS[1])', 1, `${settings.prefix}:registry`)
  } catch (error) {
    if (error instanceof BrokerError || !/NOPERM/.test(String(error))) throw error
    throw new BrokerError(
      `the user of the Redis server ${where} lacks a permission: ${(error as Error).message}. ` +
        `Check client.username, or give it the keys ${settings.prefix}:* and all commands on them, with EVAL, EVALSHA and INFO`,
      { cause: error },
    )
  }
}

/** Settings of a queue that are Busbar's to choose. */
export async function prepare(context: BullMqContext, queue: Queue): Promise<void> {
  await queue.backend.setQueueMeta({ 'opts.maxLenEvents': context.settings.maxEvents })
}

/** What differs on the server from what the promises need. Empty: nothing. */
export async function verify(context: BullMqContext): Promise<readonly Difference[]> {
  const differences = await verifyServer(context.redis)
  for (const { group, topic } of await context.registry.entries()) {
    differences.push(...(await verifyQueue(context, context.queues.of(group, topic))))
  }
  return differences
}

export async function verifyServer(redis: Redis): Promise<Difference[]> {
  const info = await redis.info()
  const differences: Difference[] = []
  const expect = (setting: string, field: string, expected: string, consequence: string, shown = expected): void => {
    const actual = new RegExp(`^${field}:(.*)$`, 'm').exec(info)?.[1]?.trim()
    if (actual === undefined || actual === expected) return
    differences.push({
      where: 'server',
      setting,
      expected: shown,
      actual: shown === expected ? actual : 'no',
      consequence,
    })
  }
  expect('maxmemory-policy', 'maxmemory_policy', 'noeviction', 'Redis deletes jobs when its memory is full')
  expect('appendonly', 'aof_enabled', '1', 'what was confirmed since the last snapshot is lost with the server', 'yes')
  return differences
}

async function verifyQueue({ settings }: BullMqContext, { name, backend }: Queue): Promise<Difference[]> {
  const meta = await backend.getQueueMeta()
  const differences: Difference[] = []
  const differs = (setting: string, expected: string, actual: string, consequence: string): void => {
    differences.push({ where: name, setting, expected, actual, consequence })
  }
  const events = meta['opts.maxLenEvents'] ?? ''
  if (events !== String(settings.maxEvents)) {
    differs('maxLenEvents', String(settings.maxEvents), events, 'the stream of events takes more or less memory')
  }
  if (meta['paused'] !== undefined) differs('paused', 'no', 'yes', 'nothing is handed out until the queue is resumed')
  if (meta['concurrency'] !== undefined) {
    differs('concurrency', 'none', meta['concurrency'], 'all members together have at most so many jobs at once')
  }
  if (meta['max'] !== undefined) {
    differs('rate limit', 'none', `${meta['max']} in ${meta['duration']} ms`, 'messages wait beyond it')
  }
  return differences
}

function versionOf(info: string): readonly [number, number] {
  const found = /redis_version:(\d+)\.(\d+)/.exec(info)
  return found === null ? OLDEST : [Number(found[1]), Number(found[2])]
}
