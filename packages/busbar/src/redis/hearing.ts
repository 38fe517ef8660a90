import type { Redis } from 'ioredis'
import type { BrokerLogger } from '../broker/logger.ts'
import type { Connections } from '../ioredis/connections.ts'

/**
 * Hears over Pub/Sub what other processes append to partitions: hints, some of which may be lost. After each reconnect everything
 * is looked at.
 */
export class Hearing {
  private readonly redis: Redis
  private readonly publisher: string
  private readonly logger: BrokerLogger
  private readonly topics = new Map<string, (n: string) => void>()
  private readonly heard = new Set<string>()
  private readonly missed: () => void

  /** `publisher`: whose hints are no news. `missed` is called when hints may have been lost. */
  static async start(
    connections: Connections,
    of: { readonly publisher: string; readonly logger: BrokerLogger; readonly missed: () => void },
  ): Promise<Hearing> {
    return new Hearing(await connections.connect('hearing'), of)
  }

  private constructor(
    redis: Redis,
    {
      publisher,
      logger,
      missed,
    }: { readonly publisher: string; readonly logger: BrokerLogger; readonly missed: () => void },
  ) {
    this.redis = redis
    this.publisher = publisher
    this.logger = logger
    this.missed = missed
    redis.on('message', (channel: string, hint: string) => {
      const [from, ...partitions] = hint.split(' ')
      if (from === this.publisher) return
      const grew = this.topics.get(channel)
      for (const n of partitions) grew?.(n)
    })
    redis.on('ready', () => void this.again())
  }

  /** Whether hints of the channel come here. */
  hears(channel: string): boolean {
    return this.heard.has(channel)
  }

  /** Calls `grew` for each partition that another process appends to, until the broker is stopped. */
  async hear(channel: string, grew: (n: string) => void): Promise<void> {
    if (this.topics.has(channel)) return
    this.topics.set(channel, grew)
    try {
      await this.redis.subscribe(channel)
      this.heard.add(channel)
    } catch (error) {
      const fields = { channel, err: String(error) }
      this.logger.warn(fields, 'cannot subscribe to the hints of a topic: what others publish comes a little later')
    }
  }

  private async again(): Promise<void> {
    try {
      if (this.topics.size > 0) await this.redis.subscribe(...this.topics.keys())
      this.missed()
    } catch {
      // The next connection does it.
    }
  }
}
