import type { EncodedMessage } from '../message/message.ts'
import type { TopicPartition } from './assignment.ts'
import { pauseAfter, sleep } from './backoff.ts'
import type { KafkaContext } from './context.ts'
import { reasonOf } from './errors.ts'
import { Fetcher, type Source } from './fetcher.ts'
import { Membership, type MembershipHost } from './membership.ts'
import { readAt } from './reading.ts'
import type { LogRecord } from './records.ts'
import type { Topic } from './topology.ts'
import { headerOf, tombstone, toWire, fromWire } from './wire.ts'

const INFO = 'busbar-delayed'
/** Milliseconds between two looks whether anybody has delayed a message. */
const LOOK = 1_000

interface Info {
  /** Unix milliseconds. */
  readonly due: number
  /** Name of the topic in Busbar, and the topic of Kafka with the partition where it is to go. */
  readonly topic: string
  readonly log: string
  readonly partition: number
}

interface Waiting extends Info {
  readonly key: string
  readonly offset: number
}

/**
 * Messages that wait for their time: a compacted topic of the deployment. Its partitions are shared by all programs that
 * subscribe or delay, as a consumer group, and who has a partition moves what is due to its log. Nobody does any of it before
 * the first message has been delayed.
 */
export class Delayed {
  private readonly context: () => KafkaContext
  private mover: Mover | undefined
  private starting: Promise<void> | undefined
  private timer: NodeJS.Timeout | undefined
  private stopped = false

  constructor(context: () => KafkaContext) {
    this.context = context
  }

  async publish(topic: Topic, partition: number, message: EncodedMessage, due: number): Promise<void> {
    const { topology, producer, names } = this.context()
    const { leaders } = await topology.ensureDelayed()
    const info: Info = { due: Math.ceil(due), topic: topic.name, log: topic.log, partition }
    const record = toWire(message, { [INFO]: JSON.stringify(info) }, crypto.randomUUID())
    await producer.write(names.delayed, partition % leaders.length, record)
    this.join()
  }

  /** Takes part as soon as there is something to do. */
  watch(): void {
    if (this.timer !== undefined || this.starting !== undefined || this.stopped) return
    const look = async (): Promise<void> => {
      const { cluster, names } = this.context()
      const [found] = await cluster.describe([names.delayed]).catch(() => [])
      if (found !== undefined) this.join()
    }
    this.timer = setInterval(() => void look(), LOOK)
    this.timer.unref()
    void look()
  }

  async stop(): Promise<void> {
    this.stopped = true
    clearInterval(this.timer)
    await this.starting
    await this.mover?.stop()
  }

  private join(): void {
    if (this.starting !== undefined || this.stopped) return
    clearInterval(this.timer)
    this.mover = new Mover(this.context())
    this.starting = this.mover.start().catch((error: unknown) => {
      this.context().logger.error({ err: reasonOf(error) }, 'this program cannot take part in moving delayed messages')
    })
  }
}

/** One member of the group that moves what is due. */
class Mover implements MembershipHost {
  private readonly context: KafkaContext
  private readonly membership: Membership
  private readonly fetcher: Fetcher
  private readonly lanes = new Map<string, Lane>()
  private stopping = false

  constructor(context: KafkaContext) {
    this.context = context
    const { cluster, names } = context
    this.membership = new Membership(cluster, names.delayed, [names.delayed], this)
    this.fetcher = new Fetcher(cluster)
  }

  async start(): Promise<void> {
    await this.membership.start()
  }

  async stop(): Promise<void> {
    this.stopping = true
    await Promise.all([...this.lanes.values()].map((lane) => lane.stop()))
    await this.membership.leave()
    await this.fetcher.close()
  }

  get owned(): readonly TopicPartition[] {
    return [...this.lanes.values()].map(({ topic, partition }) => ({ topic, partition }))
  }

  assigned(given: readonly TopicPartition[]): void {
    const wanted = new Set(given.map(({ partition }) => String(partition)))
    for (const [key, lane] of this.lanes) if (!wanted.has(key)) void this.giveUp(key, lane)
    if (this.stopping) return
    for (const { topic, partition } of given) {
      const key = String(partition)
      if (this.lanes.has(key)) continue
      const lane = new Lane(this.context, topic, partition, () => this.membership.alive)
      this.lanes.set(key, lane)
      this.fetcher.add(lane)
    }
  }

  expelled(): void {
    for (const lane of this.lanes.values()) {
      void lane.stop()
      this.fetcher.remove(lane)
    }
    this.lanes.clear()
  }

  private async giveUp(key: string, lane: Lane): Promise<void> {
    await lane.stop()
    this.fetcher.remove(lane)
    if (this.lanes.get(key) === lane) this.lanes.delete(key)
    this.membership.changed()
  }
}

/** One partition of what waits. It is read from its beginning; what is settled is deleted there. */
class Lane implements Source {
  readonly topic: string
  readonly partition: number
  readonly wanted = true
  offset = 0

  private readonly context: KafkaContext
  private readonly isAlive: () => boolean
  private readonly waiting = new Map<string, Waiting>()
  private timer: NodeJS.Timeout | undefined
  private moving: Promise<void> | undefined
  private stopped = false
  private failures = 0

  constructor(context: KafkaContext, topic: string, partition: number, isAlive: () => boolean) {
    this.context = context
    this.topic = topic
    this.partition = partition
    this.isAlive = isAlive
  }

  accept(records: readonly LogRecord[]): void {
    for (const record of records) {
      const key = record.key?.toString('utf8') ?? ''
      const info = record.value === null ? undefined : headerOf(record, INFO)
      if (info === undefined) this.waiting.delete(key)
      else this.waiting.set(key, { ...(JSON.parse(info) as Info), key, offset: record.offset })
    }
    this.plan()
  }

  async stop(): Promise<void> {
    this.stopped = true
    clearTimeout(this.timer)
    await this.moving
  }

  private plan(): void {
    if (this.stopped || this.moving !== undefined || this.waiting.size === 0) return
    let next = Infinity
    for (const { due } of this.waiting.values()) next = Math.min(next, due)
    clearTimeout(this.timer)
    const go = (): void => {
      this.moving = this.moveDue().finally(() => {
        this.moving = undefined
        this.plan()
      })
    }
    // Timers may fire a little early: what is not due yet is planned again.
    this.timer = setTimeout(go, Math.min(Math.max(0, next - Date.now()), 2 ** 31 - 1))
  }

  private async moveDue(): Promise<void> {
    const now = Date.now()
    const due = [...this.waiting.values()].filter((one) => one.due <= now)
    try {
      for (const one of due.toSorted((a, b) => a.due - b.due || a.offset - b.offset)) {
        if (this.stopped || !this.isAlive()) return
        await this.move(one)
      }
      this.failures = 0
    } catch (error) {
      this.context.logger.warn({ err: reasonOf(error) }, 'a delayed message cannot be moved: trying again')
      await sleep(pauseAfter(++this.failures))
    }
  }

  /** To its log first; it is deleted here once it is safe there. */
  private async move({ key, offset, log, partition }: Waiting): Promise<void> {
    const { cluster, producer } = this.context
    const record = await readAt(cluster, this.topic, this.partition, offset)
    if (record !== undefined && record.value !== null) {
      const message = fromWire({ ...record, key: null })
      await producer.write(log, partition, toWire(message))
      await producer.write(this.topic, this.partition, tombstone(key))
    }
    this.waiting.delete(key)
  }
}
