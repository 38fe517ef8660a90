import type { EncodedMessage } from '../message/message.ts'
import type { Cluster } from './cluster.ts'
import { isApi } from './errors.ts'
import type { Producer } from './producer.ts'
import { readAt } from './reading.ts'
import type { LogRecord } from './records.ts'
import type { Topic, Topology } from './topology.ts'
import { fromWire, headerOf, tombstone, toWire } from './wire.ts'

const INFO = 'busbar-aside'

/**
 * Messages that left the line of one group, whole, to be handed out again. Each is one key of a compacted topic of the group
 * that has the partitions of the log, so the owner of a partition has its redeliveries too; a redelivery replaces the one
 * before it, and what is settled is deleted.
 */
export interface Aside {
  /** Names it within its partition: `l42` for what was at 42 in the log. */
  readonly entry: string
  /** Where it is stored now. */
  readonly offset: number
  /** Unix milliseconds. */
  readonly due: number
  readonly attempts: number
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt?: number
  /** Where it was first, for people. */
  readonly place: string
}

/** One partition of what is set aside of a group. */
export interface AsidePlace {
  readonly topic: string
  readonly partition: number
}

export class Asides {
  private readonly cluster: Cluster
  private readonly producer: Producer
  private readonly topology: Topology

  constructor(cluster: Cluster, producer: Producer, topology: Topology) {
    this.cluster = cluster
    this.producer = producer
    this.topology = topology
  }

  /** For one group alone, as a publish or a redrive. What is published twice under one name is handed out once. */
  async publish(group: string, topic: Topic, message: EncodedMessage, due: number, name?: string): Promise<void> {
    const partition = this.topology.partitionFor(topic, message.key)
    const entry = name ?? `g${crypto.randomUUID()}`
    const aside = { entry, due, attempts: 0, redeliveries: 0, crashes: 0, place: `${partition}@-` }
    const store = async () =>
      this.store({ topic: await this.topology.ensureRetries(group, topic), partition }, message, aside)
    // Another program may have deleted the group, and its topic with it.
    await store().catch((error: unknown) =>
      isApi(error, 'UNKNOWN_TOPIC_OR_PARTITION') ? store() : Promise.reject(error),
    )
  }

  /** Resolves to where it is stored, once it is safe; undefined where that is not known. */
  async store(at: AsidePlace, message: EncodedMessage, aside: Omit<Aside, 'offset'>): Promise<Aside | undefined> {
    const { entry, ...info } = aside
    const record = toWire(message, { [INFO]: JSON.stringify(info) }, entry)
    const offset = await this.producer.write(at.topic, at.partition, record)
    return offset < 0 ? undefined : { ...aside, offset }
  }

  /** The message behind it; undefined where it is gone. */
  async read(at: AsidePlace, offset: number): Promise<EncodedMessage | undefined> {
    const record = await readAt(this.cluster, at.topic, at.partition, offset)
    if (record === undefined || record.value === null) return undefined
    return messageOf(record)
  }

  async remove(at: AsidePlace, entry: string): Promise<void> {
    await this.producer.write(at.topic, at.partition, tombstone(entry))
  }
}

/** What a record says: something set aside, or that it is settled. */
export function asideOf(record: LogRecord): { readonly entry: string; readonly aside: Aside | undefined } | undefined {
  const { key, offset, value } = record
  if (key === null) return undefined
  const entry = key.toString('utf8')
  const text = value === null ? undefined : headerOf(record, INFO)
  if (text === undefined) return { entry, aside: undefined }
  return { entry, aside: { ...(JSON.parse(text) as Omit<Aside, 'entry' | 'offset'>), entry, offset } }
}

/** The message of a record whose key is not the message's. */
export function messageOf(record: LogRecord): EncodedMessage {
  return fromWire({ ...record, key: null })
}
