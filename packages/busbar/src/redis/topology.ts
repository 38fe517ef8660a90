import type { Redis } from 'ioredis'
import { partitionOf } from '../broker/partitioning.ts'
import type { Keys } from './keys.ts'

export interface Topic {
  readonly name: string
  /** Fixed when the topic is made. */
  readonly partitions: number
}

/** The topics of a server. A topic is made when it is first published to or subscribed to. */
export class Topics {
  private readonly redis: Redis
  private readonly keys: Keys
  private readonly partitions: number
  private readonly byName = new Map<string, Topic>()
  private readonly making = new Map<string, Promise<Topic>>()
  private turn = 0

  constructor(redis: Redis, keys: Keys, partitions: number) {
    this.redis = redis
    this.keys = keys
    this.partitions = partitions
  }

  /** Undefined where this process has not met the topic yet. */
  known(name: string): Topic | undefined {
    return this.byName.get(name)
  }

  ensure(name: string): Promise<Topic> {
    const known = this.byName.get(name)
    if (known !== undefined) return Promise.resolve(known)
    let making = this.making.get(name)
    if (making === undefined) {
      making = this.make(name).finally(() => this.making.delete(name))
      this.making.set(name, making)
    }
    return making
  }

  /** All topics that any process has made. */
  async all(): Promise<Topic[]> {
    const names = await this.redis.smembers(this.keys.topics)
    return Promise.all(names.toSorted().map((name) => this.ensure(name)))
  }

  /** Names that this process has met. */
  met(): Topic[] {
    return [...this.byName.values()]
  }

  /** Messages of one key share a partition; those without one take turns. */
  partitionFor(topic: Topic, key: string | undefined): number {
    if (key !== undefined) return partitionOf(key, topic.partitions)
    this.turn = (this.turn + 1) % topic.partitions
    return this.turn
  }

  private async make(name: string): Promise<Topic> {
    const meta = `${this.keys.base(name)}meta`
    await this.redis.hsetnx(meta, 'partitions', this.partitions)
    const topic = { name, partitions: Number(await this.redis.hget(meta, 'partitions')) }
    // Last, so that a topic that is listed has its partitions.
    await this.redis.sadd(this.keys.topics, name)
    this.byName.set(name, topic)
    return topic
  }
}
