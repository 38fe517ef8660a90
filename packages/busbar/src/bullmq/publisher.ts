import type { Redis } from 'ioredis'
import type { JobJson } from 'bullmq'
import { type Outgoing, PublishError } from '../broker/index.ts'
import { together } from '../ioredis/together.ts'
import { uuidv7 } from '../message/uuid.ts'
import { numberOf } from './priority.ts'
import type { Queue, Queues } from './queues.ts'
import { type Registry, TEMPORARY } from './registry.ts'
import { toJobData } from './wire.ts'

/** Jobs that are on their way at once. */
const AT_ONCE = 2_000
/** Jobs that leave together: the server is at them while the next are encoded. */
const AT_A_TIME = 10

/** A message on its way: one job for each queue. */
interface Parcel {
  readonly index: number
  readonly outgoing: Outgoing
  readonly job: JobJson
  /** Names of the queues that have it. */
  readonly sent: Set<string>
}

interface Addition {
  readonly parcel: Parcel
  readonly queue: Queue
}

/**
 * Adds a job to the queue of each group that has the topic, all on their way at once, in one round trip that ends with a look at
 * the registry.
 * A job keeps its id through every try, so that what is sent again after a cut is not there twice while it waits.
 */
export class Publisher {
  private readonly redis: Redis
  private readonly queues: Queues
  private readonly registry: Registry
  private readonly now: () => number

  constructor(redis: Redis, queues: Queues, registry: Registry, now: () => number) {
    this.redis = redis
    this.queues = queues
    this.registry = registry
    this.now = now
  }

  /** This process itself has changed who gets what: it is looked up before the next message. */
  refresh(): void {
    this.registry.expire()
  }

  /** Resolves when the server has confirmed every message. */
  async publish(batch: readonly Outgoing[]): Promise<void> {
    if (batch.length === 0) return
    const now = this.now()
    const parcels = batch.map((outgoing, index) => parcelOf(outgoing, index, now))
    const failed = new Map<number, Error>()
    try {
      if (this.registry.version === undefined) await this.registry.load()
      await this.send(parcels, failed)
    } catch (error) {
      for (const { index } of parcels) if (!failed.has(index)) failed.set(index, error as Error)
    }
    if (failed.size === 0) return
    const list = [...failed].map(([index, error]) => ({ index, id: batch[index]?.message.id ?? '', error }))
    throw new PublishError(
      list.toSorted((a, b) => a.index - b.index),
      batch.length,
    )
  }

  /** Until nobody has come meanwhile: what was added before a change of the registry is looked at again after it. */
  private async send(parcels: readonly Parcel[], failed: Map<number, Error>): Promise<void> {
    for (;;) {
      const { version } = this.registry
      const latest = await this.add(this.additions(parcels, failed), failed)
      if (latest === version) return
      await this.registry.load()
      await this.takeBack(parcels)
    }
  }

  private additions(parcels: readonly Parcel[], failed: ReadonlyMap<number, Error>): Addition[] {
    const additions: Addition[] = []
    for (const parcel of parcels) {
      const { topic, group } = parcel.outgoing
      if (failed.has(parcel.index)) continue
      const queues = group === undefined ? this.registry.queuesOf(topic) : [this.queues.of(group, topic)]
      for (const queue of queues) if (!parcel.sent.has(queue.name)) additions.push({ parcel, queue })
    }
    return additions
  }

  /** Resolves to the version of the registry after the last of the jobs was added. */
  private async add(additions: readonly Addition[], failed: Map<number, Error>): Promise<string> {
    let from = 0
    while (additions.length - from > AT_ONCE) {
      await this.write(additions.slice(from, from + AT_ONCE), failed)
      from += AT_ONCE
    }
    return this.write(from === 0 ? additions : additions.slice(from), failed)
  }

  private async write(additions: readonly Addition[], failed: Map<number, Error>): Promise<string> {
    const [first] = additions
    if (first === undefined) return (await this.redis.get(this.registry.versionKey)) ?? ''
    const client = await first.queue.backend.client
    const adding: Promise<unknown>[] = []
    let version: Promise<string | null> | undefined
    for (let from = 0; from < additions.length; from += AT_A_TIME) {
      together(this.redis, () => {
        for (const { parcel, queue } of additions.slice(from, from + AT_A_TIME)) {
          const { job } = parcel
          const added = queue.backend.addJobToTransaction(client, job, job.id, {}, queue.backend.keys)
          adding.push(
            added.then(
              () => parcel.sent.add(queue.name),
              (error: Error) => failed.set(parcel.index, error),
            ),
          )
        }
        // After the last of the jobs.
        if (from + AT_A_TIME >= additions.length) version = this.redis.get(this.registry.versionKey)
      })
    }
    const [latest] = await Promise.allSettled([version, ...adding])
    if (latest.status === 'rejected') throw latest.reason
    return latest.value ?? ''
  }

  /** Out of queues whose group was forgotten meanwhile. */
  private async takeBack(parcels: readonly Parcel[]): Promise<void> {
    const gone: Promise<void>[] = []
    for (const { outgoing, job, sent } of parcels) {
      if (outgoing.group !== undefined) continue
      for (const name of sent) {
        const queue = this.queues.named(name)
        if (queue === undefined || this.registry.has(queue)) continue
        sent.delete(name)
        gone.push(this.takeOut(queue, job.id))
      }
    }
    await Promise.all(gone)
  }

  private async takeOut(queue: Queue, id: string): Promise<void> {
    await queue.backend.remove(id, false).catch(() => {})
    if (!queue.group.startsWith(TEMPORARY)) return
    // Adding made its keys again, and who emptied the queue meanwhile may have seen the job's place and not the job.
    await this.redis.unlink(queue.job(id)).catch(() => {})
    await this.registry.obliterate(queue).catch(() => {})
  }
}

/** What is done is gone, what failed stays until somebody decides. */
const KEEP = { attempts: 1, removeOnComplete: true, removeOnFail: false } as const

function parcelOf(outgoing: Outgoing, index: number, now: number): Parcel {
  const { message, deliverAt = 0 } = outgoing
  const delay = Math.max(0, Math.ceil(deliverAt - now))
  const priority = numberOf(message.priority)
  const job = {
    id: uuidv7(),
    name: message.type,
    data: toJobData(message),
    opts: delay > 0 ? { ...KEEP, priority, delay } : { ...KEEP, priority },
    timestamp: now,
  }
  return { index, outgoing, job: job as unknown as JobJson, sent: new Set() }
}
