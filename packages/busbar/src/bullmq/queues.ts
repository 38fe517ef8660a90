import type { Redis } from 'ioredis'
import type * as BullMq from 'bullmq'
import type { RedisQueueBackend } from 'bullmq'
import type { Settings } from './options.ts'

/** What becomes of a job is decided by Busbar: BullMQ is never to fail one because it was taken over too often. */
const NEVER = 1_000_000_000

export interface Queue {
  /** As people see it in BullMQ's tools: `billing@events`. */
  readonly name: string
  readonly group: string
  readonly topic: string
  readonly backend: RedisQueueBackend
  /** Key of the hash from message ids to letters. */
  readonly index: string
  /** Key of a job. */
  job(id: string): string
}

/** The queues of BullMQ: one for each group and topic, so that a retry of one group is no business of another. */
export class Queues {
  private readonly bullmq: typeof BullMq
  private readonly settings: Settings
  private readonly connection: InstanceType<(typeof BullMq)['RedisConnection']>
  private readonly byName = new Map<string, Queue>()

  constructor(bullmq: typeof BullMq, redis: Redis, settings: Settings) {
    this.bullmq = bullmq
    this.settings = settings
    this.connection = new bullmq.RedisConnection(redis, {
      shared: true,
      blocking: false,
      // `verify` does that, and says it by throwing and not on the console.
      skipVersionCheck: true,
    })
    this.connection.on('error', () => {})
  }

  /** Resolves when BullMQ has what it needs. */
  async ready(): Promise<void> {
    await this.connection.client
  }

  of(group: string, topic: string): Queue {
    const name = queueName(group, topic)
    let queue = this.byName.get(name)
    if (queue === undefined) {
      queue = this.make(name, group, topic)
      this.byName.set(name, queue)
    }
    return queue
  }

  /** One that this process has met. */
  named(name: string): Queue | undefined {
    return this.byName.get(name)
  }

  forget(queue: Queue): void {
    this.byName.delete(queue.name)
  }

  private make(name: string, group: string, topic: string): Queue {
    const { prefix, lease } = this.settings
    const names = new this.bullmq.QueueKeys(prefix)
    const options = {
      connection: {},
      prefix,
      lockDuration: lease,
      stalledInterval: Math.max(25, Math.ceil(lease / 2)),
      maxStalledCount: NEVER,
    }
    const backend = new this.bullmq.RedisQueueBackend(
      this.connection,
      name,
      names.getKeys(name),
      (type) => names.toKey(name, type),
      options,
      undefined,
      false,
    )
    const job = (id: string): string => names.toKey(name, id)
    return { name, group, topic, backend, index: names.toKey(name, 'letters'), job }
  }
}

/** BullMQ takes no colon in a name; a percent sign stands for what is no letter, digit or one of `-_.!~*'()`. */
export function queueName(group: string, topic: string): string {
  return `${encodeURIComponent(group.toWellFormed())}@${encodeURIComponent(topic.toWellFormed())}`
}
