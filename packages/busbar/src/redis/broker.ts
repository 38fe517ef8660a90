import {
  type Broker,
  BrokerError,
  type BrokerMetrics,
  type BrokerSubscription,
  type Capabilities,
  type Deliver,
  type Outgoing,
  type SubscriptionSpec,
} from '../broker/index.ts'
import { Lifecycle } from '../broker/lifecycle.ts'
import { refuseTooLarge } from '../broker/limits.ts'
import { type Connections, loadClient } from '../ioredis/connections.ts'
import { ConfigurationError } from '../message/errors.ts'
import { uuidv7 } from '../message/uuid.ts'
import { BroadcastMember } from './broadcast.ts'
import { connectionsTo, run } from './connection.ts'
import type { RedisContext } from './context.ts'
import { RedisDeadLetters } from './dead-letters.ts'
import { Delayed } from './delayed.ts'
import { Hearing } from './hearing.ts'
import { Keys } from './keys.ts'
import { measure } from './metrics.ts'
import { type RedisStreamsBrokerOptions, type StreamsSettings, streamsSettings } from './options.ts'
import { Publisher } from './publisher.ts'
import { Retention } from './retention.ts'
import { GroupMember } from './subscription.ts'
import { Topics } from './topology.ts'
import { checkServer, type Difference, verify, warnOfServer } from './verify.ts'
import { Watcher } from './watcher.ts'

/** 16 MiB. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

type Member = GroupMember | BroadcastMember

/** What there is while the broker runs. */
interface Running {
  readonly context: RedisContext
  readonly publisher: Publisher
  readonly delayed: Delayed
  readonly retention: Retention
}

/**
 * A broker on Redis Streams: a stream for each partition of a topic, a consumer group for each group, and a fenced lease that
 * makes one member the owner of a partition, so that order by key holds across processes.
 *
 * What was confirmed is as durable as the server is told to be: with `appendonly yes` and `appendfsync always` it survives a
 * power cut, with `everysec` (the usual setting) a crash of Redis, while a power cut can cost the last second; without a file
 * everything is lost with the server. `start` warns of the last, and `verify` tells of both.
 *
 * @example
 * const broker = new RedisStreamsBroker({ url: 'redis://127.0.0.1:6379' })
 */
export class RedisStreamsBroker implements Broker {
  readonly name = 'redis-streams'
  readonly deadLetters: RedisDeadLetters
  readonly capabilities: Capabilities = {
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
    park: true,
    deadLetters: true,
    transactions: false,
    maxMessageBytes: MAX_MESSAGE_BYTES,
  }

  private readonly settings: StreamsSettings
  private readonly connections: Connections
  private readonly members = new Set<Member>()
  private readonly life: Lifecycle<Running>

  constructor(options: RedisStreamsBrokerOptions = {}) {
    this.settings = streamsSettings(options)
    this.connections = connectionsTo(options, this.settings.logger)
    this.life = new Lifecycle(`the ${this.name} broker of ${this.connections.where}`)
    this.deadLetters = new RedisDeadLetters(() => this.life.running.context)
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
    const { context, delayed } = this.life.running
    const { group, prefetch } = spec
    if (spec.topics.length === 0) throw new ConfigurationError(`subscription of group ${group} has no topics`)
    if (!(prefetch >= 1)) throw new ConfigurationError(`prefetch of group ${group} is ${prefetch}; give 1 or more`)
    const gone = (one: Member): void => void this.members.delete(one)
    const member: Member = spec.broadcast
      ? new BroadcastMember(context, spec, deliver, gone)
      : new GroupMember(context, spec, deliver, gone)
    this.members.add(member)
    try {
      await member.start()
    } catch (error) {
      await member.stop({ deadline: 0 })
      throw error
    }
    for (const topic of spec.topics) await delayed.watch(await context.topics.ensure(topic))
    return member
  }

  async deleteGroup(group: string): Promise<void> {
    const { context } = this.life.running
    const { redis, keys } = context
    const topics = await context.topics.all()
    // First a look at all topics: refused on one means refused.
    for (const check of [1, 0]) {
      for (const { name, partitions } of topics) {
        const args = [keys.group(name, group), keys.base(name), group, partitions, check]
        const members = Number(await run(redis, 'busbarDropGroup', args))
        if (members > 0) throw new BrokerError(`group ${group} has ${members} members; stop them before deleting it`)
      }
    }
  }

  async metrics(): Promise<BrokerMetrics> {
    const { context } = this.life.running
    for (const member of this.members) await member.flush()
    return measure(context, (group, topic) => {
      let count = 0
      for (const member of this.members) if (member.group === group) count += member.inFlight(topic)
      return count
    })
  }

  async ping(): Promise<void> {
    const { redis } = this.life.running.context
    await this.connections.reach(redis, () => redis.set(`${this.settings.prefix}:ping`, Date.now(), 'PX', 60_000))
  }

  /** What is otherwise on the server than this broker needs it or would make it: durability, eviction, partitions, groups. Changes nothing. */
  verify(): Promise<Difference[]> {
    return verify(this.life.running.context, this.settings.partitions)
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    for (const member of this.members) void member.stop(options)
    return this.life.stop((running) => this.close(running))
  }

  private async open(): Promise<Running> {
    const { settings, connections } = this
    const redis = await connections.connect('main')
    await checkServer(redis, connections.where, settings.prefix)
    await warnOfServer(redis, connections.where, settings.logger)
    const publishing = await connections.connect('publisher')
    const watcher = new Watcher(connections, redis)
    await watcher.start()
    const keys = new Keys(settings.prefix)
    const { lease, logger } = settings
    const topics = new Topics(redis, keys, settings.partitions)
    const id = uuidv7()
    const missed = (): void => watcher.anyMayHaveGrown()
    const hearing = await Hearing.start(connections, { publisher: id, logger, missed })
    const context: RedisContext = { redis, keys, topics, watcher, hearing, logger, lease, now: () => settings.now() }
    const delayed = new Delayed(context)
    const { Command } = await loadClient('the Redis brokers need')
    const publisher = new Publisher(context, { id, redis: publishing, command: Command, delayed })
    const retention = new Retention(context, settings.maxAge)
    retention.start()
    return { context, publisher, delayed, retention }
  }

  private async close(running: Running | undefined): Promise<void> {
    await Promise.all([...this.members].map((member) => member.stop()))
    if (running !== undefined) {
      const { delayed, retention, context } = running
      await Promise.all([delayed.stop(), retention.stop(), context.watcher.stop()])
    }
    this.connections.closeAll()
  }
}
