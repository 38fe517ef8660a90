import type { Broker, BrokerMetrics, Delivery, Failure, Verdict } from '../broker/index.ts'
import type { Codec } from '../message/codec.ts'
import type { Privacy } from '../message/personal.ts'
import type { ContractRegistry } from '../message/contracts.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { Message, MessageKind } from '../message/message.ts'
import { Alerts } from './alerts.ts'
import { type Clock, wait } from './clock.ts'
import { Handling } from './handling.ts'
import { routesOf } from './inbox.ts'
import { Member } from './member.ts'
import type { Middleware } from './middleware.ts'
import { summarize } from './redact.ts'
import { retryPolicy } from './retry-policy.ts'
import { Routes } from './routes.ts'
import type { Publishing } from './run.ts'
import type { Schemas } from './schemas.ts'
import { select, type Selection, settle } from './selection.ts'
import type { HandlerEntry } from './handler.ts'
import type { BusOptions, SubscribeOptions } from './options.ts'

export interface GroupsOptions {
  readonly broker: Broker
  readonly options: BusOptions
  readonly source: string
  readonly registry: ContractRegistry
  readonly codec: Codec
  readonly privacy: Privacy | undefined
  readonly clock: Clock
  readonly topics: Readonly<Record<MessageKind, string>>
  readonly middleware: readonly Middleware[]
  readonly schemas: Schemas
  readonly bus: Publishing
  readonly reply: (query: Message, outcome: { data: unknown } | { error: unknown }) => Promise<void>
}

/** What this bus has of one group. */
interface Group {
  /** The same selector again is a further member that competes; another one is another place in line. */
  readonly selector: string
  readonly members: Set<Member>
}

/** The subscriptions of one bus. A group is one place in line: its members here share one selector. */
export class Groups {
  private readonly options: GroupsOptions
  private readonly groups = new Map<string, Group>()
  private readonly alerts: Alerts
  private readonly stopping = new AbortController()

  constructor(options: GroupsOptions) {
    this.options = options
    this.alerts = new Alerts(options.options.onDeadLetter, options.clock, options.bus.logger)
  }

  async subscribe(entries: readonly HandlerEntry[], options: SubscribeOptions, started: boolean): Promise<Member> {
    const { registry, topics, broker } = this.options
    const selection = select(entries, options, registry, topics)
    const name = this.nameOf(selection, options)
    const settled = settle(name, selection, options, this.options.options, broker)
    const routes = new Routes()
    for (const route of routesOf(selection, options)) routes.add(route, name)
    const group = this.join(name, selection)
    const policy = retryPolicy(this.options.options.retry, options.retry)
    const member = new Member({
      ...settled,
      handler: selection.routes.map((route) => route.name).join(', '),
      clock: this.options.clock,
      stopDeadline: this.options.options.stopDeadline ?? 10_000,
      inbox: options.inbox,
      onGone: (gone) => this.leave(name, gone),
      handling: (counters) =>
        new Handling({
          ...this.options,
          group: name,
          routes,
          policy,
          counters,
          capabilities: broker.capabilities,
          onDeadLetter: (delivery, failure) => this.putAside(name, delivery, failure),
        }),
    })
    group.members.add(member)
    if (!started) return member
    try {
      await this.options.schemas.register(selection.routes.flatMap(({ pattern }) => registry.matching(pattern)))
      await member.start(broker)
    } catch (error) {
      this.leave(name, member)
      throw error
    }
    return member
  }

  async start(): Promise<void> {
    await this.options.schemas.register(this.options.registry.all())
    for (const member of this.members()) await member.start(this.options.broker)
  }

  async stop(deadline: number): Promise<void> {
    this.stopping.abort()
    await Promise.all(this.members().map((member) => member.unsubscribe({ deadline })))
  }

  compose(): void {
    for (const member of this.members()) member.compose()
  }

  members(): readonly Member[] {
    return [...this.groups.values()].flatMap((group) => [...group.members])
  }

  patterns(): readonly string[] {
    return [...new Set([...this.groups.values()].flatMap((group) => JSON.parse(group.selector) as string[]))].toSorted()
  }

  handles(message: Message): boolean {
    return this.groups.has(singleGroup(message.kind, message.type))
  }

  /** What runs or waits in this process, in words; empty when nothing does. */
  running(): readonly string[] {
    return this.members()
      .map((member) => member.stats())
      .filter((stats) => stats.running + stats.waiting > 0)
      .map((stats) => `group '${stats.group}' has ${stats.running} running and ${stats.waiting} waiting`)
  }

  /** What the broker has for groups of this bus, in words. */
  lagging({ groups }: BrokerMetrics): readonly string[] {
    return groups
      .filter((group) => group.lag > 0 && this.groups.has(group.group))
      .map(({ group, topic, lag }) => `group '${group}' has ${lag} to go on '${topic}'`)
  }

  /**
   * A command or query has one group, whatever process handles it: so it has one handler. Events: the group given, else a
   * name made of the application and the selector, numbered where it is taken.
   */
  private nameOf(selection: Selection, options: SubscribeOptions): string {
    const { single, routes } = selection
    if (single !== undefined) {
      if (options.group !== undefined || options.broadcast === true) {
        throw new ConfigurationError(
          `${single.kind} '${single.type}' has exactly one handler, so its group is fixed: leave out 'group' and 'broadcast'`,
        )
      }
      return singleGroup(single.kind, single.type)
    }
    if (options.group !== undefined) {
      if (options.broadcast === true) {
        throw new ConfigurationError(`'group' and 'broadcast' exclude each other: a broadcast goes to every member`)
      }
      if (options.group.trim() === '') throw new ConfigurationError(`'group' is empty: name who shares the messages`)
      return options.group
    }
    if (routes.length > 1 && options.broadcast !== true) {
      throw new ConfigurationError(
        `a subscription to several types needs a 'group': its name has to stay the same when types are added`,
      )
    }
    const base = `${this.options.source}.${routes.map((route) => route.pattern).join('+')}`
    for (let number = 1; ; number++) {
      const name = number === 1 ? base : `${base}#${number}`
      if (!this.groups.has(name)) return name
    }
  }

  private join(name: string, { routes, single }: Selection): Group {
    const selector = JSON.stringify(routes.map((route) => route.pattern).toSorted())
    const known = this.groups.get(name)
    if (known === undefined) {
      const group: Group = { selector, members: new Set() }
      this.groups.set(name, group)
      return group
    }
    if (single !== undefined) {
      throw new ConfigurationError(
        `${single.kind} '${single.type}' has a handler on this bus already, and it can have only one`,
      )
    }
    if (known.selector !== selector) {
      throw new ConfigurationError(
        `group '${name}' is subscribed to ${known.selector} already and would now be to ${selector}; a group is one place in line, ` +
          `so what one member passes over is gone for the others: subscribe all its handlers in one call, ` +
          `bus.subscribe([on(A, …), on(B, …)], { group: '${name}' }), or give this one a group of its own`,
      )
    }
    return known
  }

  private leave(name: string, member: Member): void {
    const group = this.groups.get(name)
    group?.members.delete(member)
    if (group?.members.size === 0) this.groups.delete(name)
  }

  private putAside(group: string, delivery: Delivery, failure: Failure): Verdict | Promise<Verdict> {
    this.alerts.tell(group, delivery, failure)
    const { broker, options } = this.options
    if (options.deadLetters !== undefined) return this.store(group, delivery, failure)
    if (broker.capabilities.deadLetters) return { deadLetter: failure }
    this.options.bus.logger.error(
      { group, type: delivery.message.type, messageId: delivery.message.id },
      `broker '${broker.name}' keeps no dead letters and the bus was given no store for them: the message is lost`,
    )
    return { ack: true }
  }

  /** Into the store that the bus was given; the delivery is settled only once that has worked. */
  private async store(group: string, delivery: Delivery, failure: Failure): Promise<Verdict> {
    const { topic, position, message, redeliveries } = delivery
    for (let attempt = 0; ; attempt++) {
      try {
        await this.options.options.deadLetters?.put({ group, topic, position, message, failure, redeliveries })
        return { ack: true }
      } catch (error) {
        const seconds = Math.min(30, 2 ** attempt)
        this.options.bus.logger.error(
          { group, messageId: message.id, error: summarize(error).message },
          `a dead letter could not be stored; the message stays unsettled, next try in ${seconds} s`,
        )
        if (!(await wait(this.options.clock, seconds * 1_000, this.stopping.signal))) return { release: true }
      }
    }
  }
}

/** The group of a command or query: one, whatever process handles it. */
export function singleGroup(kind: MessageKind, type: string): string {
  return `${kind}.${type}`
}
