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
import { atMost } from './backoff.ts'
import { BroadcastMember } from './broadcast.ts'
import { closed } from './channels.ts'
import { Link } from './connection.ts'
import type { RabbitContext } from './context.ts'
import { RabbitDeadLetters } from './dead-letters.ts'
import { DelayedQueue } from './delayed.ts'
import { measure } from './metrics.ts'
import { Names } from './names.ts'
import { complete, type RabbitMqBrokerOptions, type Settings } from './options.ts'
import { Publisher } from './publisher.ts'
import { Registry } from './registry.ts'
import { type Numbers, Roster } from './roster.ts'
import { Sender } from './sender.ts'
import { GroupMember, type MemberParts } from './subscription.ts'
import { type Topic, Topology } from './topology.ts'
import { type Difference, verify } from './verify.ts'
import { Vigil } from './vigil.ts'

/** Milliseconds that a stop without a deadline waits for the confirmations of what is on its way. */
const MOST_TO_CONFIRM = 10_000
/** Milliseconds that it has for its last words when the deadline has passed. */
const LAST_WORDS = 1_000

type Member = GroupMember | BroadcastMember

interface Running extends MemberParts {
  readonly publishing: Link
  readonly publisher: Publisher
  /** What topics of this process have for all groups, later. */
  readonly delayed: Map<string, DelayedQueue>
}

/**
 * A broker on RabbitMQ: a topic exchange for each topic, and for each group and partition a quorum queue that one member at a time consumes.
 * Needs a server of 3.10 or later, and no plugin.
 */
export class RabbitMqBroker implements Broker {
  readonly name = 'rabbitmq'
  readonly capabilities: Capabilities
  readonly deadLetters: RabbitDeadLetters

  private readonly settings: Settings
  private readonly options: RabbitMqBrokerOptions
  private readonly members = new Set<Member>()
  private readonly life: Lifecycle<Running>

  /** @throws ConfigurationError naming the option that is wrong */
  constructor(options: RabbitMqBrokerOptions = {}) {
    this.options = options
    this.settings = complete(options)
    this.life = new Lifecycle(`the RabbitMQ broker of ${this.settings.prefix}`)
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
      replay: false,
      park: false,
      deadLetters: true,
      transactions: false,
      maxMessageBytes: this.settings.maxMessageBytes,
    }
    this.deadLetters = new RabbitDeadLetters(() => this.life.running)
  }

  start(): Promise<void> {
    return this.life.start((ending) => this.open(ending))
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    await this.life.running.publisher.publish(batch)
  }

  async subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    const running = this.life.running
    assertPossible(spec)
    const gone = (one: Member): void => void this.members.delete(one)
    const member: Member = spec.broadcast
      ? new BroadcastMember(running, spec, deliver, gone)
      : new GroupMember(running, spec, deliver, gone)
    this.members.add(member)
    try {
      await member.start()
      for (const topic of await running.topology.ensure(spec.topics)) await this.keepDelayed(topic)
    } catch (error) {
      await member.stop({ deadline: 0 }).catch(() => {})
      this.members.delete(member)
      throw error
    }
    return member
  }

  async deleteGroup(group: string): Promise<void> {
    const { registry, roster, topology } = this.life.running
    const { members, complete: all } = await roster.ask()
    const count = members.filter((one) => one.group === group).length
    if (count > 0) throw new BrokerError(`group ${group} has ${count} members; stop them before deleting it`)
    if (!all) throw new BrokerError(`group ${group} may have members: not every broker has answered; try again`)
    await registry.removeGroup(group, async (names) => {
      for (const topic of await topology.ensure(names)) await topology.deleteGroup(topic, group)
    })
  }

  async metrics(): Promise<BrokerMetrics> {
    const running = this.life.running
    return measure({ ...running, deadLetters: this.deadLetters }, (group, topic) => {
      let count = 0
      for (const member of this.members) if (member.group === group) count += member.inFlight(topic)
      return count
    })
  }

  /** What the server has otherwise than this broker would make it. */
  async verify(): Promise<Difference[]> {
    return verify(this.life.running)
  }

  /** Published and confirmed: the server takes messages. */
  async ping(): Promise<void> {
    const { context } = this.life.running
    await closed(await context.consuming.channel())
    await context.sender.send(context.names.talk, '', Buffer.from('{}'), {})
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    for (const member of this.members) void member.stop(options)
    return this.life.stop((running) => this.close(running, options))
  }

  private async open(ending: AbortSignal): Promise<Running> {
    const { settings, options } = this
    const logger = options.logger ?? standardErrorLogger
    const publishing = new Link(settings, 'publish', logger)
    const consuming = new Link(settings, 'consume', logger)
    const sender = new Sender(publishing, settings.connectTimeout, logger)
    // What still waits for an answer of the server then ends with its connection.
    const giveUp = (): void => void Promise.all([publishing.close(), consuming.close()])
    ending.addEventListener('abort', giveUp)
    try {
      await Promise.all([publishing.open(ending), consuming.open(ending)])
      const context: RabbitContext = { settings, names: new Names(settings.prefix), logger, consuming, sender }
      await sender.start()
      const registry = new Registry(context)
      const topology = new Topology(context, ({ name, partitions }) => registry.addTopic(name, partitions))
      const roster = new Roster(context, () => this.numbers())
      await registry.start()
      await roster.start()
      const publisher = new Publisher(context, topology, (topic) => this.keepDelayed(topic))
      publishing.onUp.add(() => topology.forget())
      const vigil = new Vigil(context)
      const stores = { context, deadLetters: this.deadLetters }
      return { context, publishing, publisher, registry, topology, roster, stores, vigil, delayed: new Map() }
    } catch (error) {
      sender.end()
      await Promise.all([publishing.close(), consuming.close()])
      throw error
    } finally {
      ending.removeEventListener('abort', giveUp)
    }
  }

  /** Somebody has to wait for what the topic's groups get later: every process that uses the topic can. */
  private async keepDelayed({ name }: Topic): Promise<void> {
    const { context, delayed } = this.life.running
    if (delayed.has(name)) return
    const later = new DelayedQueue(context, context.names.delayed(name))
    delayed.set(name, later)
    await later.start()
  }

  /** What only this process knows. */
  private numbers(): Numbers {
    const unsettled: Record<string, number> = {}
    const waiting: Record<string, number> = {}
    const add = (to: Record<string, number>, name: string, count: number): void =>
      void (to[name] = (to[name] ?? 0) + count)
    for (const member of this.members) {
      for (const [topic, count] of member.unsettled()) add(unsettled, `${member.group}\0${topic}`, count)
      for (const [queue, count] of member.waiting()) add(waiting, queue, count)
    }
    for (const { queue, count } of this.life.opened?.delayed.values() ?? []) add(waiting, queue, count)
    return { unsettled, waiting }
  }

  /** Whatever the server does or leaves undone, it ends some seconds after the deadline. */
  private async close(running: Running | undefined, { deadline }: { readonly deadline?: number }): Promise<void> {
    const until = performance.now() + (deadline ?? Infinity)
    await Promise.all([...this.members].map((member) => member.stop(deadline === undefined ? {} : { deadline })))
    if (running === undefined) return
    const { vigil, delayed, roster, context, publishing } = running
    vigil.end()
    await Promise.all([...delayed.values()].map((later) => later.stop()))
    const left = Math.min(MOST_TO_CONFIRM, Math.max(LAST_WORDS, until - performance.now()))
    await Promise.all([roster.stop(), atMost(left, context.sender.quiet())])
    context.sender.end()
    await Promise.all([publishing.close(), context.consuming.close()])
  }
}

function assertPossible({ group, topics, prefetch, from, onFailure }: SubscriptionSpec): void {
  if (topics.length === 0) throw new ConfigurationError(`subscription of group ${group} has no topics`)
  if (!(prefetch >= 1)) throw new ConfigurationError(`prefetch of group ${group} is ${prefetch}; give 1 or more`)
  if (from === 'earliest') {
    throw new UnsupportedError(
      `group ${group} asks for 'earliest', and RabbitMQ keeps nothing for groups to come: a new group begins at the latest`,
    )
  }
  if (onFailure === 'park') {
    throw new UnsupportedError(`group ${group} asks for 'park', and the RabbitMQ broker cannot park failed keys`)
  }
}
