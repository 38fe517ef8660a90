import type { Redis } from 'ioredis'
import type { BullMqContext } from './context.ts'
import type { Intake } from './intake.ts'

/** Milliseconds of one blocking read; after it the queues are looked at in any case. */
const LONGEST_BLOCK = 5_000
/** BullMQ's marker that there is something; the other one, `1`, says when the next delayed job is due. */
const SOMETHING = '0'

/**
 * Waits for jobs as BullMQ's workers do: on the markers of the queues, over a connection of its own, because that read blocks.
 * Only while there is room and all queues are empty: a marker that is taken is a promise to fetch.
 */
export class Markers {
  private readonly context: BullMqContext
  private readonly byKey: ReadonlyMap<string, Intake>
  private readonly hasRoom: () => boolean
  private redis: Redis | undefined
  private looked: (() => void) | undefined
  private ended = false
  private loop: Promise<void> | undefined

  constructor(context: BullMqContext, intakes: readonly Intake[], hasRoom: () => boolean) {
    this.context = context
    this.byKey = new Map(intakes.map((intake) => [intake.queue.backend.keys['marker'] as string, intake]))
    this.hasRoom = hasRoom
  }

  async start(name: string): Promise<void> {
    this.redis = await this.context.connections.connect(name, { blocks: this.block * 1_000 })
    this.loop = this.run(this.redis)
  }

  /** Something has changed: there may be reason to wait now. */
  look(): void {
    this.looked?.()
  }

  /** What was taken and not used is put back, so that no other process sleeps on. */
  async stop(): Promise<void> {
    this.ended = true
    this.looked?.()
    if (this.redis !== undefined) this.context.connections.close(this.redis)
    await this.loop
    const { redis } = this.context
    if (redis.status !== 'ready') return
    const puts = [...this.byKey.keys()].map((marker) => redis.zadd(marker, 0, SOMETHING))
    await Promise.all(puts).catch(() => {})
  }

  /** Seconds. */
  private get block(): number {
    return Math.min(LONGEST_BLOCK, this.context.settings.lease) / 1_000
  }

  private get intakes(): Iterable<Intake> {
    return this.byKey.values()
  }

  private async run(redis: Redis): Promise<void> {
    while (!this.ended) {
      if (!this.hasRoom() || [...this.intakes].some(({ idle }) => !idle)) {
        await new Promise<void>((resolve) => (this.looked = resolve))
        this.looked = undefined
        continue
      }
      try {
        this.news(await redis.bzpopmin([...this.byKey.keys()], this.block))
      } catch {
        // Cut off: what came meanwhile is looked for.
        if (!this.ended) await new Promise((resolve) => setTimeout(resolve, 20))
        this.news(null)
      }
    }
  }

  private news(popped: readonly string[] | null): void {
    if (this.ended) return
    const intake = popped === null ? undefined : this.byKey.get(popped[0] ?? '')
    if (intake !== undefined) return intake.wake()
    for (const one of this.intakes) one.wake()
  }
}
