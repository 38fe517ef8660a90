import {
  type Broker,
  type BrokerMetrics,
  type BrokerSubscription,
  type Capabilities,
  type DeadLetter,
  type Deliver,
  type Outgoing,
  type SubscriptionSpec,
  UnsupportedError,
} from '../broker/index.ts'
import { Lifecycle } from '../broker/lifecycle.ts'
import { refuseTooLarge } from '../broker/limits.ts'
import type { Connections } from '../ioredis/connections.ts'
import { ConfigurationError } from '../message/errors.ts'
import { uuidv7 } from '../message/uuid.ts'
import { connectionsTo, loadBullMq } from './connection.ts'
import type { BullMqContext } from './context.ts'
import { BullMqDeadLetters } from './dead-letters.ts'
import { measure } from './metrics.ts'
import { type BullMqBrokerOptions, type Settings, settingsOf } from './options.ts'
import { Publisher } from './publisher.ts'
import { Queues } from './queues.ts'
import { Registry, TEMPORARY } from './registry.ts'
import { GroupMember, type Reading } from './subscription.ts'
import { checkServer, type Difference, prepare, verify, verifyServer } from './topology.ts'

/** 16 MiB. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

/** What there is while the broker runs. */
interface Running {
  readonly context: BullMqContext
  readonly publisher: Publisher
  readonly sweeping: NodeJS.Timeout
}

/**
 * A broker on BullMQ: a queue for each group and topic, to which a message is added for every group that has subscribed the
 * topic, so that no group runs anything again because of another. Redeliveries, delays, priorities and dead letters are
 * BullMQ's own delayed, prioritized and failed jobs, and its tools show them.
 *
 * A message is kept only for groups that were subscribed before it was published. There is no order by key: what fails and
 * comes again, and jobs that several members take at once, pass each other.
 *
 * What was confirmed is as durable as Redis is told to be: with `appendonly yes` and `appendfsync always` it survives a
 * power cut, with `everysec` (the usual setting) the last second may be lost with the server.
 *
 * @example
 * const broker = new BullMqBroker({ url: 'bullmq://127.0.0.1:6379' })
 */
export class BullMqBroker implements Broker {
  readonly name = 'bullmq'
  readonly deadLetters: BullMqDeadLetters
  readonly capabilities: Capabilities = {
    inProcess: false,
    durable: true,
    multiProcess: true,
    groups: true,
    broadcast: true,
    order: 'none',
    delivery: 'at-least-once',
    redelivery: true,
    countsCrashes: true,
    delay: true,
    priority: 'native',
    replay: false,
    park: false,
    deadLetters: true,
    transactions: false,
    maxMessageBytes: MAX_MESSAGE_BYTES,
  }

  private readonly settings: Settings
  private readonly connections: Connections
  private readonly members = new Set<GroupMember>()
  private readonly life: Lifecycle<Running>

  constructor(options: BullMqBrokerOptions = {}) {
    this.settings = settingsOf(options)
    this.connections = connectionsTo(this.settings)
    this.life = new Lifecycle(`the ${this.name} broker of ${this.connections.where}`)
    this.deadLetters = new BullMqDeadLetters(() => this.life.running.context)
  }

  /** Waits for a server that is away. */
  start(): Promise<void> {
    return this.life.start((ending) => this.connections.starting(ending, () => this.open()))
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    const { publisher } = this.life.running
    refuseTooLarge(batch, MAX_MESSAGE_BYTES, this.name)
    await publisher.publish(batch)
  }

  async subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    const { context, publisher } = this.life.running
    refuse(spec)
    const reading = this.readingOf(context, spec)
    for (const queue of reading.queues) await prepare(context, queue)
    const member = new GroupMember(context, spec, reading, deliver, (one) => this.members.delete(one))
    this.members.add(member)
    try {
      await member.start()
    } catch (error) {
      await member.stop({ deadline: 0 })
      throw error
    }
    publisher.refresh()
    return member
  }

  async deleteGroup(group: string): Promise<void> {
    const { context, publisher } = this.life.running
    await context.registry.forget(group)
    publisher.refresh()
  }

  async metrics(): Promise<BrokerMetrics> {
    const { context } = this.life.running
    return measure(context, (group, topic) => {
      let count = 0
      for (const member of this.members) if (member.group === group) count += member.inFlight(topic)
      return count
    })
  }

  /** What differs on the server from what the promises need, by the name of the setting: `maxmemory-policy`, `appendonly` … */
  verify(): Promise<readonly Difference[]> {
    return verify(this.life.running.context)
  }

  async ping(): Promise<void> {
    const { redis } = this.life.running.context
    await this.connections.reach(redis, () => redis.set(`${this.settings.prefix}:ping`, Date.now(), 'PX', 60_000))
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    for (const member of this.members) void member.stop(options)
    return this.life.stop((running) => this.close(running))
  }

  /** A broadcast has queues of its own, which go with it, and its name is where its dead letters are and come back from. */
  private readingOf(context: BullMqContext, { group, topics, broadcast }: SubscriptionSpec): Reading {
    const queuesOf = (name: string) => [...new Set(topics)].map((topic) => context.queues.of(name, topic))
    if (!broadcast) return { group, queues: queuesOf(group), more: [], temporary: false }
    const own = TEMPORARY + uuidv7()
    return {
      group: own,
      queues: queuesOf(own),
      more: queuesOf(group),
      temporary: true,
      letters: async (_, { topic, message, position, redeliveries }, failure) => {
        const letter: Omit<DeadLetter, 'id'> = { group, topic, message, position, redeliveries, failure }
        await this.deadLetters.put(letter)
      },
    }
  }

  private async open(): Promise<Running> {
    const { settings, connections } = this
    const bullmq = await loadBullMq()
    const redis = await connections.connect('main', { together: true })
    const publishing = await connections.connect('publisher', { resend: true })
    const queues = new Queues(bullmq, redis, settings)
    const publishingQueues = new Queues(bullmq, publishing, settings)
    await Promise.all([queues.ready(), publishingQueues.ready()])
    const registry = new Registry(redis, queues, settings.prefix)
    const context: BullMqContext = { settings, connections, redis, queues, registry }
    await checkServer(context)
    for (const { setting, expected, actual, consequence } of await verifyServer(redis)) {
      settings.logger.warn(
        { server: connections.where, setting, expected, actual },
        `Redis should have ${setting} ${expected}: ${consequence}`,
      )
    }
    const publisher = new Publisher(
      publishing,
      publishingQueues,
      new Registry(publishing, publishingQueues, settings.prefix),
      Date.now,
    )
    // Anybody may find what a broadcast left behind that died: also a process that only publishes.
    const sweeping = setInterval(() => void registry.sweep().catch(() => {}), Math.max(1_000, settings.lease)).unref()
    return { context, publisher, sweeping }
  }

  private async close(running: Running | undefined): Promise<void> {
    await Promise.all([...this.members].map((member) => member.stop()))
    clearInterval(running?.sweeping)
    this.connections.closeAll()
  }
}

/** @throws UnsupportedError, ConfigurationError */
function refuse({ group, topics, prefetch, from, onFailure }: SubscriptionSpec): void {
  const cannot = (what: string): UnsupportedError =>
    new UnsupportedError(
      `BullMQ cannot ${what} (subscription of group ${group}): use Redis Streams, Kafka or a SQL broker`,
    )
  if (from === 'earliest') throw cannot('begin at the earliest: a message is kept only for the groups that were there')
  if (onFailure === 'park') throw cannot('park failed keys')
  if (topics.length === 0) throw new ConfigurationError(`subscription of group ${group} has no topics`)
  if (!(prefetch >= 1)) throw new ConfigurationError(`prefetch of group ${group} is ${prefetch}; give 1 or more`)
}
