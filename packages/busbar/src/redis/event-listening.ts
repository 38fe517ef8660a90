import type { Redis } from 'ioredis'
import type { BrokerLogger } from '../broker/logger.ts'
import type { Connections } from '../ioredis/connections.ts'
import type { Wake } from '../store/index.ts'
import { Hearing } from './hearing.ts'

/** Milliseconds between two looks at the last position: for hints that got lost, and for who may not hear them. */
const LOOKS = 500

/** Wakes who listens: for appends of this process at once, for those of others by a hint over Pub/Sub, and by looking now and then. */
export class EventListening {
  private readonly connections: Connections
  private readonly redis: Redis
  private readonly base: string
  private readonly logger: BrokerLogger
  private readonly wakes = new Set<Wake>()
  private hearing: Promise<void> | undefined
  private looking: NodeJS.Timeout | undefined
  private last: string | null | undefined

  constructor(connections: Connections, redis: Redis, base: string, logger: BrokerLogger) {
    this.connections = connections
    this.redis = redis
    this.base = base
    this.logger = logger
  }

  /** @returns what ends it. */
  async add(wake: Wake): Promise<() => Promise<void>> {
    const own = (): void => wake()
    this.wakes.add(own)
    this.looking ??= setInterval(() => void this.look(), LOOKS)
    try {
      await (this.hearing ??= this.hear())
    } catch (error) {
      this.hearing = undefined
      this.remove(own)
      throw error
    }
    return () => Promise.resolve(this.remove(own))
  }

  tell(): void {
    for (const wake of this.wakes) wake()
  }

  stop(): void {
    this.wakes.clear()
    clearInterval(this.looking)
    this.looking = undefined
  }

  private remove(wake: Wake): void {
    this.wakes.delete(wake)
    if (this.wakes.size === 0) this.stop()
  }

  private async hear(): Promise<void> {
    const { logger } = this
    const missed = (): void => this.tell()
    // Whose hints they are does not matter: to be woken twice does no harm.
    const hearing = await Hearing.start(this.connections, { publisher: '', logger, missed })
    await hearing.hear(`${this.base}grew`, () => this.tell())
  }

  private async look(): Promise<void> {
    try {
      const last = await this.redis.hget(`${this.base}head`, 'last')
      if (last === this.last) return
      this.last = last
      this.tell()
    } catch {
      // The next look does it.
    }
  }
}
