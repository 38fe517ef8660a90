import {
  type Broker,
  BrokerError,
  type BrokerMetrics,
  type BrokerSubscription,
  type Capabilities,
  type Deliver,
  type Outgoing,
  type SubscriptionSpec,
  UnsupportedError,
} from '../broker/index.ts'
import { Lifecycle } from '../broker/lifecycle.ts'
import { standardErrorLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'
import { Asides } from './asides.ts'
import { BroadcastMember } from './broadcast.ts'
import { Cluster } from './cluster.ts'
import { connect } from './connection.ts'
import type { KafkaContext } from './context.ts'
import { KafkaDeadLetters } from './dead-letters.ts'
import { Delayed } from './delayed.ts'
import { measure } from './metrics.ts'
import { Names } from './names.ts'
import { deleteGroup } from './offsets.ts'
import { complete, type KafkaBrokerOptions, type Settings } from './options.ts'
import { Producer } from './producer.ts'
import { Publisher } from './publisher.ts'
import { GroupMember } from './subscription.ts'
import { type Difference, Topology } from './topology.ts'

type Member = GroupMember | BroadcastMember

interface Running {
  readonly context: KafkaContext
  readonly publisher: Publisher
  readonly delayed: Delayed
}

/**
 * A broker on Apache Kafka, 3.1 or later: a topic for each topic, a consumer group for each group, the group's place with all
 * that is open as committed offset and metadata. A group that nobody reads for `offsets.retention.minutes` (7 days) is
 * forgotten by the server, and a topic keeps its messages for `maxAge`.
 */
export class KafkaBroker implements Broker {
  readonly name = 'kafka'
  readonly capabilities: Capabilities
  readonly deadLetters: KafkaDeadLetters

  private readonly settings: Settings
  private readonly options: KafkaBrokerOptions
  private readonly members = new Set<Member>()
  private readonly life: Lifecycle<Running>

  /** @throws ConfigurationError naming the option that is wrong. */
  constructor(options: KafkaBrokerOptions = {}) {
    this.options = options
    this.settings = complete(options)
    this.life = new Lifecycle(`the Kafka broker of ${this.settings.prefix}`)
    this.capabilities = {
      inProcess: false,
      durable: true,
      multiProcess: true,
      groups: true,
      broadcast: true,
      order: 'key',
      delivery: 'at-least-once',
      redelivery: true,
      countsCrashes: true,
      delay: true,
      priority: 'window',
      replay: true,
      park: false,
      deadLetters: true,
      transactions: false,
      maxMessageBytes: this.settings.maxMessageBytes,
    }
    this.deadLetters = new KafkaDeadLetters(() => this.life.running.context)
  }

  start(): Promise<void> {
    return this.life.start((ending) => this.open(ending))
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    await this.life.running.publisher.publish(batch)
  }

  async subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    const { context, delayed } = this.life.running
    if (spec.topics.length === 0) throw new ConfigurationError(`subscription of group ${spec.group} has no topics`)
    if (!(spec.prefetch >= 1)) {
      throw new ConfigurationError(`prefetch of group ${spec.group} is ${spec.prefetch}; give 1 or more`)
    }
    if (spec.onFailure === 'park') {
      throw new UnsupportedError(
        `group ${spec.group} asks for 'park', and the Kafka broker cannot park failed keys yet`,
      )
    }
    const gone = (one: Member): void => {
      this.members.delete(one)
      this.look(one)
    }
    const member: Member = spec.broadcast
      ? new BroadcastMember(context, spec, deliver, gone)
      : new GroupMember(context, spec, deliver, gone)
    this.members.add(member)
    try {
      const starting = member.start()
      this.look(member)
      await starting
    } catch (error) {
      await member.stop({ deadline: 0 }).catch(() => {})
      this.members.delete(member)
      throw error
    }
    delayed.watch()
    return member
  }

  async deleteGroup(group: string): Promise<void> {
    const { cluster, names, topology } = this.life.running.context
    if (!(await deleteGroup(cluster, names.group(group)))) {
      throw new BrokerError(`group ${group} has members; stop them before deleting it`)
    }
    const topics = await cluster.describe(null)
    const start = names.retries(group)
    await topology.delete(topics.map(({ name }) => name).filter((name) => name.startsWith(start)))
  }

  async metrics(): Promise<BrokerMetrics> {
    const { context } = this.life.running
    await Promise.all([...this.members].map((member) => member.flush()))
    return measure(context, await this.deadLetters.counts(), (group, topic) => {
      let count = 0
      for (const member of this.members) if (member.group === group) count += member.inFlight(topic)
      return count
    })
  }

  async ping(): Promise<void> {
    const { names, topology, producer } = this.life.running.context
    await topology.ensurePing()
    await producer.write(names.ping, 0, { value: Buffer.from('ping'), size: 64 })
  }

  /** What the server has otherwise than this broker would make it: a topic that existed is taken as it is. */
  async verify(): Promise<readonly Difference[]> {
    return this.life.running.context.topology.verify()
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    for (const member of this.members) void member.stop(options)
    return this.life.stop((running) => this.close(running, options))
  }

  private async open(ending: AbortSignal): Promise<Running> {
    const { settings, options } = this
    const { logger = standardErrorLogger } = options
    const connected = await connect(settings, ending)
    const cluster = new Cluster(connected, settings, logger)
    const names = new Names(settings.prefix)
    const topology = new Topology(cluster, names)
    const producer = new Producer(cluster)
    const asides = new Asides(cluster, producer, topology)
    const { deadLetters } = this
    const context: KafkaContext = { cluster, names, topology, producer, asides, deadLetters, logger }
    const delayed = new Delayed(() => context)
    return { context, delayed, publisher: new Publisher(context, delayed, settings.maxMessageBytes) }
  }

  /** Other members of the group in this process hear of it at once, and not with their next heartbeat. */
  private look(member: Member): void {
    for (const other of this.members) if (other !== member && other.group === member.group) other.look()
  }

  private async close(running: Running | undefined, options: { readonly deadline?: number }): Promise<void> {
    await Promise.all([...this.members].map((member) => member.stop(options)))
    if (running === undefined) return
    const { context, publisher, delayed } = running
    await publisher.idle()
    await delayed.stop()
    await context.cluster.close()
  }
}
