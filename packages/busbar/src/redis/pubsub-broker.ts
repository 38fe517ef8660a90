import type { Redis } from 'ioredis'
import {
  type Broker,
  BrokerError,
  type BrokerMetrics,
  type BrokerSubscription,
  type Capabilities,
  type DeadLetterStore,
  type Deliver,
  type Outgoing,
  type SubscriptionSpec,
  UnsupportedError,
} from '../broker/index.ts'
import { Lifecycle } from '../broker/lifecycle.ts'
import { refuseTooLarge } from '../broker/limits.ts'
import { standardErrorLogger } from '../broker/logger.ts'
import { type Connections, loadClient } from '../ioredis/connections.ts'
import { ConfigurationError } from '../message/errors.ts'
import { connectionsTo } from './connection.ts'
import { Keys } from './keys.ts'
import { checkPrefix, type RedisPubSubBrokerOptions } from './options.ts'
import { PubSubMember } from './pubsub-member.ts'
import { PubSubPublisher } from './pubsub-publisher.ts'

/** 16 MiB. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

/** What there is while the broker runs. */
interface Running {
  readonly redis: Redis
  readonly subscriber: Redis
  readonly publisher: PubSubPublisher
}

/**
 * A broker on Redis Pub/Sub: every subscription gets a copy of what is published while it listens. **At most once**: what nobody
 * listens to, what comes while a connection is being made again and what a handler fails on is gone. For all else there is
 * `RedisStreamsBroker`.
 *
 * @example
 * const broker = new RedisPubSubBroker({ url: 'redis://127.0.0.1:6379' })
 */
export class RedisPubSubBroker implements Broker {
  readonly name = 'redis-pubsub'
  readonly deadLetters: DeadLetterStore = noDeadLetters
  readonly capabilities: Capabilities = {
    inProcess: false,
    durable: false,
    multiProcess: true,
    groups: false,
    broadcast: true,
    order: 'none',
    delivery: 'at-most-once',
    redelivery: false,
    countsCrashes: false,
    delay: false,
    priority: 'window',
    replay: false,
    park: false,
    deadLetters: false,
    transactions: false,
    maxMessageBytes: MAX_MESSAGE_BYTES,
  }
  private readonly options: RedisPubSubBrokerOptions
  private readonly keys: Keys
  private readonly connections: Connections
  private readonly members = new Set<PubSubMember>()
  /** Members of each topic. */
  private readonly listeners = new Map<string, Set<PubSubMember>>()
  private readonly life: Lifecycle<Running>

  constructor(options: RedisPubSubBrokerOptions = {}) {
    const { prefix = 'busbar', logger = standardErrorLogger, maxWaiting = 10_000 } = options
    checkPrefix(prefix)
    if (!(maxWaiting >= 1)) throw new ConfigurationError(`Redis broker: maxWaiting is ${maxWaiting}; give 1 or more`)
    this.options = options
    this.keys = new Keys(prefix)
    this.connections = connectionsTo(options, logger)
    this.life = new Lifecycle(`the ${this.name} broker of ${this.connections.where}`)
  }

  /** Messages of this broker that no process received. */
  get unheard(): number {
    return this.life.opened?.publisher.unheard ?? 0
  }

  start(): Promise<void> {
    return this.life.start((ending) => this.connections.starting(ending, () => this.open()))
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    const { publisher } = this.life.running
    for (const one of batch) refuse(one)
    refuseTooLarge(batch, MAX_MESSAGE_BYTES, this.name)
    await publisher.publish(batch)
  }

  async subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    const { subscriber } = this.life.running
    const { group, topics, prefetch } = spec
    const cannot = (what: string): UnsupportedError =>
      new UnsupportedError(`Redis Pub/Sub cannot ${what} (subscription ${group}): use Redis Streams`)
    if (!spec.broadcast) throw cannot('share messages within a group')
    if (spec.from === 'earliest') throw cannot('begin at the earliest')
    if (spec.onFailure === 'park') throw cannot('park failed keys')
    if (topics.length === 0) throw new ConfigurationError(`subscription of group ${group} has no topics`)
    if (!(prefetch >= 1)) throw new ConfigurationError(`prefetch of group ${group} is ${prefetch}; give 1 or more`)
    const { logger = standardErrorLogger, maxWaiting = 10_000 } = this.options
    const onStopped = (one: PubSubMember): Promise<void> => this.gone(one)
    const member = new PubSubMember(spec, deliver, { maxWaiting, logger, onStopped })
    this.members.add(member)
    for (const topic of topics) {
      const channel = this.keys.channel(topic)
      const listeners = this.listeners.get(channel) ?? new Set()
      this.listeners.set(channel, listeners.add(member))
    }
    await subscriber.subscribe(...topics.map((topic) => this.keys.channel(topic)))
    return member
  }

  async deleteGroup(group: string): Promise<void> {
    this.assertRunning()
    const members = [...this.members].filter(({ spec }) => spec.group === group).length
    if (members > 0) throw new BrokerError(`group ${group} has ${members} members; stop them before deleting it`)
  }

  /** Only what this process holds: the server keeps nothing. */
  async metrics(): Promise<BrokerMetrics> {
    this.assertRunning()
    const groups = [...this.members].flatMap((member) =>
      member.spec.topics.map((topic) => {
        const inFlight = member.inFlight(topic)
        const lag = inFlight + member.waitingOf(topic)
        return { group: member.spec.group, topic, lag, inFlight, redelivering: 0, parked: 0, dead: 0 }
      }),
    )
    const topics = [...new Set(groups.map((one) => one.topic))]
    return { topics: topics.map((topic) => ({ topic, depth: 0, delayed: 0 })), groups }
  }

  async ping(): Promise<void> {
    const { redis } = this.life.running
    await this.connections.reach(redis, () => redis.ping())
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    for (const member of this.members) void member.stop(options)
    return this.life.stop(() => this.close())
  }

  private async open(): Promise<Running> {
    // Not sent again after a cut: what was sent twice would come twice.
    const redis = await this.connections.connect('publisher')
    const subscriber = await this.connections.connect('subscriber')
    const prefix = this.keys.channel('')
    subscriber.on('messageBuffer', (name: Buffer, payload: Buffer) => {
      const channel = name.toString('utf8')
      for (const member of this.listeners.get(channel) ?? []) member.receive(channel.slice(prefix.length), payload)
    })
    const { Command } = await loadClient('the Redis brokers need')
    return { redis, subscriber, publisher: new PubSubPublisher(redis, Command, this.keys) }
  }

  private async gone(member: PubSubMember): Promise<void> {
    this.members.delete(member)
    const quiet: string[] = []
    for (const topic of member.spec.topics) {
      const channel = this.keys.channel(topic)
      const listeners = this.listeners.get(channel)
      listeners?.delete(member)
      if (listeners?.size !== 0) continue
      this.listeners.delete(channel)
      quiet.push(channel)
    }
    const { subscriber } = this.life.opened ?? {}
    if (quiet.length === 0 || subscriber?.status !== 'ready') return
    await subscriber.unsubscribe(...quiet).catch(() => {})
    // Somebody may have subscribed meanwhile.
    const wanted = quiet.filter((channel) => this.listeners.has(channel))
    if (wanted.length > 0) await subscriber.subscribe(...wanted)
  }

  private assertRunning(): Running {
    return this.life.running
  }

  private async close(): Promise<void> {
    await Promise.all([...this.members].map((member) => member.stop()))
    this.connections.closeAll()
  }
}

function refuse({ message, deliverAt, group }: Outgoing): void {
  if (deliverAt === undefined && group === undefined) return
  const what = group === undefined ? 'delay a message' : 'send to one group alone'
  throw new UnsupportedError(`Redis Pub/Sub cannot ${what} (${message.type} ${message.id}): use Redis Streams`)
}

const unsupported = (): Promise<never> =>
  Promise.reject(new UnsupportedError('Redis Pub/Sub keeps no dead letters: give the bus a store for them'))

const noDeadLetters: DeadLetterStore = {
  put: unsupported,
  list: unsupported,
  get: unsupported,
  count: unsupported,
  summarize: unsupported,
  redrive: unsupported,
  discard: unsupported,
}
