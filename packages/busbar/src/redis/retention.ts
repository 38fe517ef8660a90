import { run } from './connection.ts'
import type { RedisContext } from './context.ts'

/** Milliseconds. */
const LONGEST_PERIOD = 60_000

/**
 * Deletes what is older than the log has to keep, and only what every known group has settled: a stream is trimmed to the oldest
 * message that any group still needs, never by length.
 */
export class Retention {
  private readonly context: RedisContext
  private readonly maxAge: number
  private timer: NodeJS.Timeout | undefined
  private running: Promise<unknown> = Promise.resolve()

  /** `maxAge` in milliseconds. */
  constructor(context: RedisContext, maxAge: number) {
    this.context = context
    this.maxAge = maxAge
  }

  start(): void {
    if (this.maxAge === Infinity) return
    this.timer = setInterval(
      () => {
        this.running = this.attempt()
      },
      Math.max(10, Math.min(LONGEST_PERIOD, this.maxAge / 10)),
    )
    this.timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.timer)
    await this.running
  }

  /** Of the topics that this process has met. Resolves to how many messages were deleted. */
  async enforce(): Promise<number> {
    const { redis, keys, topics } = this.context
    // Ids are made of the server's time.
    const [seconds] = await redis.time()
    const oldest = Math.max(0, Number(seconds) * 1_000 - this.maxAge)
    let deleted = 0
    for (const { name, partitions } of topics.met()) {
      deleted += Number(await run(redis, 'busbarTrim', [keys.base(name), partitions, `${oldest}-0`]))
    }
    return deleted
  }

  private attempt(): Promise<unknown> {
    if (this.context.redis.status !== 'ready') return Promise.resolve()
    return this.enforce().catch((error: unknown) => {
      this.context.logger.warn({ err: String(error) }, 'cannot delete old messages: trying again later')
    })
  }
}
