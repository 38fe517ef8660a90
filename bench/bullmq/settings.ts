import type { Redis } from 'ioredis'

/** The server that all subjects use. */
export const url = serverUrl()

function serverUrl(): string {
  const given = process.env['BUSBAR_REDIS_URL']
  if (given !== undefined) return given
  throw new Error('BUSBAR_REDIS_URL is not set: eval "$(./script/brokers up redis)" starts a server and sets it')
}

/** First part of the keys of one subject in one process. */
export const prefixOf = (subject: string): string => `bullmq-bench-${process.pid}-${subject}`

/** Removes everything of a subject. */
export async function remove(redis: Redis, prefix: string): Promise<void> {
  let cursor = '0'
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', `${prefix}:*`, 'COUNT', 1_000)
    if (keys.length > 0) await redis.unlink(...keys)
    cursor = next
  } while (cursor !== '0')
}
