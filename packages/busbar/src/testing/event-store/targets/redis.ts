import { Redis } from 'ioredis'
import { RedisEventStorage } from '../../../redis/index.ts'
import type { EventStorage } from '../../../store/index.ts'
import type { TargetOptions } from '../../suite/target.ts'
import type { StorageFaults } from '../target.ts'

/** Checks cause trouble on purpose. */
const silent = { warn() {}, error() {} }

function urlOf({ settings }: TargetOptions): string {
  if (settings['url'] !== undefined) return settings['url']
  throw new Error('BUSBAR_REDIS_URL is not set: ./script/brokers up redis starts a server and prints it')
}

/** A prefix for each namespace, so that nothing of one is seen in another. */
const prefixOf = ({ namespace }: TargetOptions): string => `busbar-${namespace}`

export function createStorage(options: TargetOptions): EventStorage {
  const client = { connectionName: prefixOf(options) }
  return new RedisEventStorage({ url: urlOf(options), prefix: prefixOf(options), client, logger: silent })
}

export async function cleanup(options: TargetOptions): Promise<void> {
  const redis = new Redis(urlOf(options))
  let cursor = '0'
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', `${prefixOf(options)}:*`, 'COUNT', 1_000)
    if (keys.length > 0) await redis.unlink(...keys)
    cursor = next
  } while (cursor !== '0')
  redis.disconnect()
}

export const faults: StorageFaults = {
  /** Every connection of the namespace is cut as soon as it is there. */
  async interrupt(options) {
    const redis = new Redis(urlOf(options))
    const cut = async (): Promise<void> => {
      const clients = String(await redis.client('LIST')).split('\n')
      for (const client of clients.filter((one) => one.includes(` name=${prefixOf(options)} `))) {
        const id = /\bid=(\d+)/.exec(client)?.[1]
        if (id !== undefined) await redis.client('KILL', 'ID', Number(id))
      }
    }
    await cut()
    const timer = setInterval(() => void cut().catch(() => {}), 5)
    return () => {
      clearInterval(timer)
      redis.disconnect()
    }
  },
}
