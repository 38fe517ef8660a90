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
import { ConfigurationError } from '../message/errors.ts'
import { Asides } from './asides.ts'
import { BroadcastMember } from './broadcast.ts'
import { Confirmations } from './confirmations.ts'
import { connect } from './connection.ts'
import type { NatsContext } from './context.ts'
import { NatsDeadLetters } from './dead-letters.ts'
import { scan } from './follower.ts'
import { standardErrorLogger } from '../broker/logger.ts'
import { measure } from './metrics.ts'
import { Names } from './names.ts'
import { complete, type NatsBrokerOptions, type Settings } from './options.ts'
import { Publisher } from './publisher.ts'
import { GroupMember } from './subscription.ts'
import { Topology } from './topology.ts'
import type { Difference } from './verify.ts'

type Member = GroupMember | BroadcastMember

interface Running {
  readonly context: NatsContext
  readonly asides: Asides
  readonly publisher: Publisher
}

/**
 * A broker on NATS JetStream: a stream for each topic, and for each group and partition a leased cursor whose every write
 * is checked against the one before. Needs a server of 2.10 or later; `deliverAt` needs 2.12.
 */
export class NatsBroker implements Broker {
  readonly name = 'nats'
  /** Known to the last when it is started: whether the server can delay depends on its version. */
  capabilities: Capabilities
  readonly deadLetters: NatsDeadLetters

  private readonly settings: Settings
  private readonly options: NatsBrokerOptions
  private readonly members = new Set<Member>()
  private readonly life: Lifecycle<Running>

  /** @throws ConfigurationError naming the option that is wrong. */
  constructor(options: NatsBrokerOptions = {}) {
    this.options = options
    this.settings = complete(options)
    this.life = new Lifecycle(`the NATS broker of ${this.settings.prefix}`)
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
      park: true,
      deadLetters: true,
      transactions: false,
      maxMessageBytes: this.settings.maxMessageBytes,
    }
    this.deadLetters = new NatsDeadLetters(() => this.life.running)
  }

  start(): Promise<void> {
    return this.life.start((ending) => this.open(ending))
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    await this.life.running.publisher.publish(batch)
  }

  async subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    const { context, asides } = this.life.running
    if (spec.topics.length === 0) throw new ConfigurationError(`subscription of group ${spec.group} has no topics`)
    if (!(spec.prefetch >= 1)) {
      throw new ConfigurationError(`prefetch of group ${spec.group} is ${spec.prefetch}; give 1 or more`)
    }
    const parts = { context, asides, deadLetters: this.deadLetters }
    const gone = (one: Member): void => void this.members.delete(one)
    const member: Member = spec.broadcast
      ? new BroadcastMember(parts, spec, deliver, gone)
      : new GroupMember(parts, spec, deliver, gone)
    this.members.add(member)
    try {
      await member.start()
    } catch (error) {
      await member.stop({ deadline: 0 }).catch(() => {})
      this.members.delete(member)
      throw error
    }
    return member
  }

  async deleteGroup(group: string): Promise<void> {
    const { context } = this.life.running
    const { jsm, names } = context
    const now = await this.serverTime()
    let members = 0
    await scan(context, { stream: names.state, filter: names.member(group, '*') }, (message) => {
      const text = message.string()
      if (text === '') return
      const { lease } = JSON.parse(text) as { lease: number }
      if (now - Number(message.timestampNanos / 1_000_000n) <= lease) members++
    })
    if (members > 0) throw new BrokerError(`group ${group} has ${members} members; stop them before deleting it`)
    await jsm.streams.purge(names.state, { filter: names.stateOf(group) })
    await jsm.streams.purge(names.aside, { filter: names.asidesOf(group) })
    await jsm.streams.purge(names.dead, { filter: names.parkedOf(group) })
  }

  async metrics(): Promise<BrokerMetrics> {
    const { context } = this.life.running
    await Promise.all([...this.members].map((member) => member.flush()))
    return measure(context, (group, topic) => {
      let count = 0
      for (const member of this.members) if (member.group === group) count += member.inFlight(topic)
      return count
    })
  }

  async ping(): Promise<void> {
    await this.serverTime()
  }

  /** What the server has otherwise than this broker would make it: a stream that existed is taken as it is. */
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
    const connection = await connect(settings, logger, ending)
    this.capabilities = { ...this.capabilities, delay: connection.schedules }
    try {
      const names = new Names(settings.prefix)
      const topology = new Topology(connection, settings, names)
      await topology.start()
      const context: NatsContext = {
        ...connection,
        names,
        topology,
        confirmations: new Confirmations(connection.nc, connection.inbox(), settings),
        logger,
        lease: settings.lease,
        onReconnect: new Set(),
      }
      const asides = new Asides(context)
      const publisher = new Publisher(context, asides, settings.maxMessageBytes, (topic, partition, id) => {
        for (const member of this.members) if (member instanceof GroupMember) member.coming(topic, partition, id)
      })
      void watch(context)
      return { context, asides, publisher }
    } catch (error) {
      await connection.nc.close()
      throw error
    }
  }

  /** Written and read back: the server takes writes. */
  private async serverTime(): Promise<number> {
    const { context } = this.life.running
    const { js, jsm, names } = context
    const { seq } = await js.publish(names.ping, '')
    const stored = await jsm.streams.getMessage(names.state, { last_by_subj: names.ping })
    if (stored === null || stored.seq < seq) throw new BrokerError('the NATS server forgot what it had just confirmed')
    return stored.time.getTime()
  }

  private async close(running: Running | undefined, options: { readonly deadline?: number }): Promise<void> {
    await Promise.all([...this.members].map((member) => member.stop(options)))
    const { publisher, context } = running ?? {}
    // Where the server is away nobody waits for longer than for one answer.
    const giveUp = (): void => context?.confirmations.close()
    const timer = setTimeout(giveUp, options.deadline ?? this.settings.requestTimeout)
    await publisher?.idle()
    clearTimeout(timer)
    giveUp()
    await context?.nc.close()
  }
}

/** Until the connection is closed. */
async function watch({ nc, onReconnect, confirmations, logger }: NatsContext): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === 'disconnect') {
      confirmations.disconnected()
      logger.warn({ server: nc.getServer() }, 'the NATS server is away: reconnecting')
    } else if (status.type === 'reconnect') {
      confirmations.reconnected()
      for (const restart of onReconnect) restart()
    } else if (status.type === 'error') {
      confirmations.refused(status.error)
      logger.error({ server: nc.getServer(), err: String(status.error) }, 'the NATS server refuses something')
    }
  }
}
