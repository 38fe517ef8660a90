import type { Redis } from 'ioredis'

/** The server that all subjects use. */
export const url = serverUrl()

function serverUrl(): string {
  const given = process.env['BUSBAR_REDIS_URL']
  if (given !== undefined) return given
  throw new Error('BUSBAR_REDIS_URL is not set: eval "$(./script/brokers up redis)" starts a server and sets it')
}

/** First part of the keys of one subject in one process. */
export const prefixOf = (subject: string): string => `busbar-bench-${process.pid}-${subject}`

/** Empties the streams of a subject: groups and ids stay, and so does the speed of what comes next. */
export async function empty(redis: Redis, prefix: string): Promise<void> {
  for await (const key of keysOf(redis, prefix)) {
    if ((await redis.type(key)) === 'stream') await redis.xtrim(key, 'MAXLEN', 0)
  }
}

/** Removes everything of a subject. */
export async function remove(redis: Redis, prefix: string): Promise<void> {
  for await (const key of keysOf(redis, prefix)) await redis.unlink(key)
}

async function* keysOf(redis: Redis, prefix: string): AsyncGenerator<string> {
  let cursor = '0'
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', `*${prefix}*`, 'COUNT', 1_000)
    yield* keys
    cursor = next
  } while (cursor !== '0')
}
