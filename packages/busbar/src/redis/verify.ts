import type { Redis } from 'ioredis'
import { BrokerError } from '../broker/index.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { list, type Reply, text } from './connection.ts'
import type { RedisContext } from './context.ts'
import type { Topic } from './topology.ts'

/** Redis 7.0: `XGROUP CREATE … ENTRIESREAD`, and what `XINFO GROUPS` says of the lag. */
const OLDEST = 7

/** Something on the server that is otherwise than this broker would have it. */
export interface Difference {
  /** `server`, or a key. */
  readonly name: string
  /** As Redis calls it: `appendonly`, `maxmemory-policy` …; `partitions`, `type` and `consumer group` of a topic. */
  readonly setting: string
  readonly expected: string
  readonly found: string
  /** What may come of it. */
  readonly consequence: string
}

/** @throws BrokerError where the server is too old, or the user may not do what is needed. */
export async function checkServer(redis: Redis, where: string, prefix: string): Promise<void> {
  try {
    const version = /redis_version:(\d+)\.(\d+)/.exec(await redis.info('server'))
    if (version !== null && Number(version[1]) < OLDEST) {
      throw new BrokerError(
        `the Redis server ${where} is version ${version[1]}.${version[2]}; Redis ${OLDEST}.0 or newer is needed`,
      )
    }
    await redis.set(`${prefix}:ping`, Date.now(), 'PX', 60_000)
    await redis.eval('return redis.call("XLEN", KEYS[1])', 1, `${prefix}:{}:0`)
  } catch (error) {
    if (error instanceof BrokerError || !/NOPERM/.test(String(error))) throw error
    throw new BrokerError(
      `the user of the Redis server ${where} lacks a permission: ${(error as Error).message}. ` +
        `Check username, or give it the keys and channels ${prefix}:* and all commands on them, with EVAL, EVALSHA and INFO`,
      { cause: error },
    )
  }
}

/** What differs on the server from what the promises need. Empty: nothing. */
export async function verify(context: RedisContext, partitions: number): Promise<Difference[]> {
  const differences = await verifyServer(context.redis)
  for (const topic of await context.topics.all()) differences.push(...(await verifyTopic(context, topic, partitions)))
  return differences
}

/** Tells what can lose what was confirmed. */
export async function warnOfServer(redis: Redis, where: string, logger: BrokerLogger): Promise<void> {
  for (const { setting, expected, found, consequence } of await verifyServer(redis)) {
    // How often the file is synced is a choice that many make on purpose.
    if (setting === 'appendfsync') continue
    logger.warn({ server: where, setting, expected, found }, `Redis should have ${setting} ${expected}: ${consequence}`)
  }
}

/** How safe the server keeps what it confirms. */
export async function verifyServer(redis: Redis): Promise<Difference[]> {
  const info = await redis.info()
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim()
  const differences: Difference[] = []
  const differs = (setting: string, expected: string, found: string, consequence: string): void => {
    differences.push({ name: 'server', setting, expected, found, consequence })
  }
  const policy = field('maxmemory_policy') ?? 'noeviction'
  if (policy !== 'noeviction') {
    differs('maxmemory-policy', 'noeviction', policy, 'Redis deletes messages when its memory is full')
  }
  if (field('aof_enabled') === '0') {
    const consequence =
      'what was confirmed since the last snapshot is lost with the server, without snapshots everything'
    differs('appendonly', 'yes', 'no', consequence)
    return differences
  }
  const fsync = await settingOf(redis, 'appendfsync')
  if (fsync !== undefined && fsync !== 'always') {
    const lost = fsync === 'everysec' ? 'about the last second' : 'what the system has not written yet'
    differs('appendfsync', 'always', fsync, `a power cut, not a crash of Redis, loses ${lost} of what was confirmed`)
  }
  return differences
}

/** Undefined where the server does not tell, as hosted ones often do not. */
async function settingOf(redis: Redis, name: string): Promise<string | undefined> {
  try {
    const [, value] = (await redis.config('GET', name)) as readonly string[]
    return value
  } catch {
    return undefined
  }
}

async function verifyTopic({ redis, keys }: RedisContext, topic: Topic, partitions: number): Promise<Difference[]> {
  const base = keys.base(topic.name)
  const differences: Difference[] = []
  if (topic.partitions !== partitions) {
    const consequence = 'the topic keeps its own: they were fixed when it was made'
    const found = String(topic.partitions)
    differences.push({ name: `${base}meta`, setting: 'partitions', expected: String(partitions), found, consequence })
  }
  const groups = await groupsOf(redis, base)
  for (let n = 0; n < topic.partitions; n++) {
    const name = keys.stream(topic.name, n)
    const type = await redis.type(name)
    if (type !== 'stream' && type !== 'none') {
      const consequence = 'nothing can be published to the partition or read from it'
      differences.push({ name, setting: 'type', expected: 'stream', found: type, consequence })
      continue
    }
    const there = type === 'none' ? [] : linesOf((await redis.xinfo('GROUPS', name)) as Reply)
    for (const group of groups) {
      const token = (await redis.hget(keys.group(topic.name, group), `t:${n}`)) ?? '0'
      const expected = `${group}@${token}`
      if (there.includes(expected)) continue
      const consequence = `group ${group} reads nothing of the partition: delete the group and subscribe again`
      differences.push({ name, setting: 'consumer group', expected, found: 'none', consequence })
    }
  }
  return differences
}

/** Groups that read the topic, and not only have letters of it. */
async function groupsOf(redis: Redis, base: string): Promise<string[]> {
  const groups = (await redis.smembers(`${base}groups`)).toSorted()
  const made = await Promise.all(groups.map((group) => redis.hexists(`${base}g:${group}`, 'made')))
  return groups.filter((_, index) => made[index] === 1)
}

function linesOf(reply: Reply): string[] {
  return list(reply).map((info) => {
    const fields = list(info)
    return text(fields[fields.findIndex((field) => text(field) === 'name') + 1])
  })
}
