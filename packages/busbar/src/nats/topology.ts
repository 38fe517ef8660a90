import type { StreamConfig } from '@nats-io/jetstream'
import { BrokerError } from '../broker/index.ts'
import type { Connection } from './connection.ts'
import type { Names } from './names.ts'
import type { Settings } from './options.ts'
import { breaksPromises, cannotMake, type Difference, differences, text } from './verify.ts'
import { partitionOf } from '../broker/partitioning.ts'

const PARTITIONS = 'busbar.partitions'

export interface Topic {
  readonly name: string
  readonly stream: string
  /** Fixed when the topic is made. */
  readonly partitions: number
  /** It takes messages that are to be delivered later. */
  readonly schedules: boolean
}

/** The streams of a deployment. A topic is made when it is first published to or subscribed to. */
export class Topology {
  /** While topics are being made: publishes wait for it, so that none overtakes an earlier one. */
  making: Promise<unknown> | undefined

  private readonly connection: Connection
  private readonly settings: Settings
  private readonly names: Names
  private readonly topics = new Map<string, Topic>()
  private turn = 0

  constructor(connection: Connection, settings: Settings, names: Names) {
    this.connection = connection
    this.settings = settings
    this.names = names
  }

  /** Makes the streams that all topics share. */
  async start(): Promise<void> {
    await Promise.all(this.shared().map((config) => this.make(config)))
  }

  known(name: string): Topic | undefined {
    return this.topics.get(name)
  }

  async ensure(names: readonly string[]): Promise<Topic[]> {
    const missing = [...new Set(names)].filter((name) => !this.topics.has(name))
    if (missing.length > 0) {
      const making = Promise.all(missing.map((name) => this.makeTopic(name)))
      this.making = making
      try {
        await making
      } finally {
        if (this.making === making) this.making = undefined
      }
    }
    return names.map((name) => this.topics.get(name) as Topic)
  }

  /** All topics of the deployment, also those of other processes. */
  async all(): Promise<Topic[]> {
    const found: Topic[] = []
    for await (const info of this.connection.jsm.streams.list(`${this.names.prefix}.t.>`)) {
      const name = this.names.topicOf(info.config.name)
      if (name !== undefined) found.push(this.remember(name, info.config))
    }
    return found
  }

  /** Messages of one key share a partition; those without one take turns. */
  partitionFor(topic: Topic, key: string | undefined): number {
    if (key !== undefined) return partitionOf(key, topic.partitions)
    this.turn = (this.turn + 1) % topic.partitions
    return this.turn
  }

  /** What the server has otherwise than this broker would make it. */
  async verify(): Promise<Difference[]> {
    const topics = await this.all()
    const wanted = [...this.shared(), ...topics.map(({ name, partitions }) => this.topicConfig(name, partitions))]
    const found = await Promise.all(
      wanted.map(async (config) => differences(config, (await this.connection.jsm.streams.info(config.name)).config)),
    )
    return found.flat()
  }

  private async makeTopic(name: string): Promise<void> {
    const config = this.topicConfig(name, this.settings.partitions)
    // One that is there keeps the number of partitions that it was made with.
    this.remember(name, await this.make(config, (found) => this.topicConfig(name, partitionsOf(found))))
  }

  private remember(name: string, config: StreamConfig): Topic {
    const known = this.topics.get(name)
    if (known !== undefined) return known
    const partitions = partitionsOf(config)
    const topic = { name, stream: config.name, partitions, schedules: config.allow_msg_schedules === true }
    this.topics.set(name, topic)
    return topic
  }

  /**
   * A stream that is there already is taken as it is, where it can keep our promises; `verify` tells the differences. What the server
   * answers counts: an old one accepts settings that it does not know, and leaves them out.
   */
  private async make(config: Wanted, wanted = (_found: StreamConfig): Wanted => config): Promise<StreamConfig> {
    const { jsm } = this.connection
    let made: StreamConfig
    try {
      made = (await jsm.streams.add(config)).config
    } catch (error) {
      const found = await jsm.streams.info(config.name).catch(() => undefined)
      if (found === undefined) throw cannotMake(config, error, this.names.prefix)
      made = found.config
    }
    const unfit = differences(wanted(made), made).filter(breaksPromises)
    if (unfit.length === 0) return made
    throw new BrokerError(
      `stream ${config.name} exists with other settings, with which Busbar cannot keep its promises: ` +
        `${unfit.map(({ setting, found, expected }) => `'${setting}' is ${text(found)}, needed is ${text(expected)}`).join('; ')}. ` +
        `Change the stream, or use another 'prefix'`,
    )
  }

  private topicConfig(name: string, partitions: number): Wanted {
    const { nanos, schedules } = this.connection
    const { maxAge, maxBytes, duplicateWindow } = this.settings
    // No wildcard: what a plain client sends to a partition that nobody reads is refused.
    const subjects = Array.from({ length: partitions }, (_, partition) => this.names.log(name, partition))
    if (schedules) subjects.push(this.names.delayed(name, '*', '*'))
    return {
      ...this.common(),
      name: this.names.topicStream(name),
      subjects,
      max_age: nanos(maxAge),
      max_bytes: maxBytes,
      duplicate_window: nanos(duplicateWindow),
      metadata: { [PARTITIONS]: String(partitions) },
      ...(schedules ? { allow_msg_schedules: true } : {}),
    }
  }

  private shared(): Wanted[] {
    const { prefix, state, aside, dead } = this.names
    const duplicate_window = this.connection.nanos(120_000)
    const latest = { ...this.common(), max_age: 0, max_bytes: -1, max_msgs_per_subject: 1, duplicate_window }
    return [
      { ...latest, name: state, subjects: [`${prefix}.state.>`] },
      { ...latest, name: aside, subjects: [`${prefix}.aside.>`] },
      { ...latest, name: dead, subjects: [`${prefix}.dead.>`] },
    ]
  }

  private common() {
    return {
      retention: 'limits',
      storage: 'file',
      discard: 'old',
      num_replicas: this.settings.replicas,
      max_msgs: -1,
      max_msg_size: -1,
      allow_direct: true,
      deny_delete: false,
      deny_purge: false,
    } as const
  }
}

/** @throws BrokerError where the stream is not Busbar's */
function partitionsOf({ name, metadata }: StreamConfig): number {
  const partitions = Number(metadata?.[PARTITIONS])
  if (partitions >= 1) return partitions
  throw new BrokerError(
    `stream ${name} was not made by Busbar: its metadata has no '${PARTITIONS}'. Add it, or use another 'prefix'`,
  )
}

type Wanted = Partial<StreamConfig> & { readonly name: string }
