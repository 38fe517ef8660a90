import { Redis } from 'ioredis'
import type { Broker } from '../../../broker/index.ts'
import { BullMqBroker } from '../../../bullmq/index.ts'
import type { TargetFaults, TargetOptions } from '../target.ts'

/** Checks cause trouble on purpose. */
const silent = { warn() {}, error() {} }

function urlOf({ settings }: TargetOptions): string {
  if (settings['url'] !== undefined) return settings['url']
  throw new Error('BUSBAR_REDIS_URL is not set: ./script/brokers up redis starts a server and prints it')
}

/** A prefix for each namespace, so that nothing of one is listed in another. */
const prefixOf = ({ namespace }: TargetOptions): string => `bullmq-${namespace}`

export function createBroker(options: TargetOptions): Broker {
  const lease = options.lease === undefined ? {} : { lease: options.lease }
  const client = { connectionName: prefixOf(options) }
  return new BullMqBroker({ url: urlOf(options), prefix: prefixOf(options), client, logger: silent, ...lease })
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

export const faults: TargetFaults = {
  /** What a letter is noted in before its job is moved is no hash. */
  async failDeadLetters(options) {
    const redis = new Redis(urlOf(options))
    const { namespace } = options
    const letters = `${prefixOf(options)}:${namespace}-group@${namespace}-topic:letters`
    await redis.set(letters, 'the check says so')
    return async () => {
      await redis.del(letters)
      redis.disconnect()
    }
  },

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
