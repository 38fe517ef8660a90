import {
  type Broker,
  type BrokerMetrics,
  type BrokerSubscription,
  type Capabilities,
  type Deliver,
  type Outgoing,
  PublishError,
  type SubscriptionSpec,
  UnsupportedError,
} from '../broker/index.ts'
import { refuseTooLarge } from '../broker/limits.ts'
import { isLocalCopy, localCopy } from './copies.ts'
import { HybridDeadLetters } from './dead-letters.ts'
import { DefaultRoutingStrategy, type Route, routeOf, type Routing } from './routing.ts'
import { SharedWindow } from './shared-window.ts'

export interface HybridBrokerOptions {
  /** Carries what is meant for this process or this machine, for example a `MemoryBroker`. */
  readonly local: Broker
  /** Carries the rest, and what goes both ways. */
  readonly remote: Broker
  /** Which way a message goes: a strategy or a function. Default: everything remote. */
  readonly routing?: Routing
}

/**
 * Two brokers behind one port: each message goes to the one that the routing names, and a group reads both.
 *
 * - Order by key holds among messages that go the same way.
 * - A message that goes both ways reaches a group of the hybrid once, from the remote broker; the local copy is for those
 *   who read the local broker by itself. It is confirmed when both have it, the remote one first.
 * - What it can do is what both can; it is durable only if both are.
 */
export class HybridBroker implements Broker {
  readonly name: string
  readonly capabilities: Capabilities
  readonly deadLetters: HybridDeadLetters
  readonly #local: Broker
  readonly #remote: Broker
  readonly #routeOf: (outgoing: Outgoing) => Route

  constructor({ local, remote, routing = new DefaultRoutingStrategy() }: HybridBrokerOptions) {
    this.#local = local
    this.#remote = remote
    this.name = `hybrid(${local.name}, ${remote.name})`
    this.capabilities = both(local.capabilities, remote.capabilities)
    this.deadLetters = new HybridDeadLetters(local.deadLetters, remote.deadLetters)
    const route = routeOf(routing)
    this.#routeOf = ({ message, topic, group }) => {
      const { body: _, contentType: __, ...attributes } = message
      const way = route({ ...attributes, topic })
      // One group's message is handed out once: by the broker whose copy the group takes.
      return way === 'both' && group !== undefined ? 'remote' : way
    }
  }

  async start(): Promise<void> {
    await this.#onBoth((broker) => broker.start())
  }

  /** Of both: a batch is confirmed when both have what is theirs. */
  assertOutside(): void {
    this.#local.assertOutside?.()
    this.#remote.assertOutside?.()
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    // What cannot be sent whole is refused whole: a body that one of the two would refuse, a routing that throws.
    refuseTooLarge(batch, this.capabilities.maxMessageBytes, this.name)
    const routes = batch.map((outgoing) => this.#routeOf(outgoing))
    const [way] = routes
    if (way !== undefined && way !== 'both' && routes.every((route) => route === way)) {
      await (way === 'local' ? this.#local : this.#remote).publish(batch)
      return
    }
    const indexes = batch.map((_, index) => index)
    const [local, remote] = await Promise.all([
      this.#send(
        this.#local,
        batch,
        indexes.filter((index) => routes[index] === 'local'),
      ),
      this.#send(
        this.#remote,
        batch,
        indexes.filter((index) => routes[index] !== 'local'),
      ),
    ])
    // A local copy of what the remote broker does not have would be a message that nobody else can see.
    const unsent = new Set(remote.map(({ index }) => index))
    const copied = indexes.filter((index) => routes[index] === 'both' && !unsent.has(index))
    const copies = copied.length === 0 ? [] : await this.#send(this.#local, batch.map(localCopy), copied)
    const failed = [...local, ...remote, ...copies]
    if (failed.length > 0)
      throw new PublishError(
        failed.toSorted((a, b) => a.index - b.index),
        batch.length,
      )
  }

  /** Publishes a part of a batch; resolves with what was not confirmed, by its index in the whole. */
  async #send(broker: Broker, batch: readonly Outgoing[], indexes: readonly number[]): Promise<PublishError['failed']> {
    const part = indexes.flatMap((index) => batch[index] ?? [])
    if (part.length === 0) return []
    try {
      await broker.publish(part)
      return []
    } catch (error) {
      if (error instanceof PublishError) {
        return error.failed.map((one) => ({ ...one, index: indexes[one.index] ?? one.index }))
      }
      const reason = error instanceof Error ? error : new Error(String(error))
      return part.map(({ message }, at) => ({ index: indexes[at] ?? at, id: message.id, error: reason }))
    }
  }

  async subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    if (spec.from === 'earliest' && !this.capabilities.replay) {
      throw new UnsupportedError(`broker '${this.name}' cannot replay, because one of its two cannot`)
    }
    const window = new SharedWindow(spec.prefetch, deliver)
    const remote = await this.#remote.subscribe(spec, window.deliver)
    try {
      const from = this.#local.capabilities.replay ? spec.from : 'latest'
      const local = await this.#local.subscribe({ ...spec, from }, (delivery) =>
        isLocalCopy(delivery) ? { ack: true } : window.deliver(delivery),
      )
      return {
        async stop(options) {
          window.close()
          await Promise.all([local.stop(options), remote.stop(options)])
        },
      }
    } catch (error) {
      window.close()
      await remote.stop({ deadline: 0 })
      throw error
    }
  }

  async deleteGroup(group: string): Promise<void> {
    await this.#onBoth((broker) => broker.deleteGroup(group))
  }

  async metrics(): Promise<BrokerMetrics> {
    const [local, remote] = await Promise.all([this.#local.metrics(), this.#remote.metrics()])
    return {
      topics: added(local.topics, remote.topics, ({ topic }) => topic),
      groups: added(local.groups, remote.groups, ({ group, topic }) => JSON.stringify([group, topic])),
    }
  }

  async ping(): Promise<void> {
    await this.#onBoth((broker) => broker.ping())
  }

  async stop(options?: { readonly deadline?: number }): Promise<void> {
    await this.#onBoth((broker) => broker.stop(options))
  }

  /** Lets both end, also if one fails. */
  async #onBoth(call: (broker: Broker) => Promise<void>): Promise<void> {
    const outcomes = await Promise.allSettled([call(this.#local), call(this.#remote)])
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }
}

/** What both can do. A local broker that keeps nothing has no history to miss. */
function both(local: Capabilities, remote: Capabilities): Capabilities {
  return {
    inProcess: local.inProcess && remote.inProcess,
    durable: local.durable && remote.durable,
    multiProcess: local.multiProcess && remote.multiProcess,
    groups: local.groups && remote.groups,
    broadcast: local.broadcast && remote.broadcast,
    order: local.order === 'key' && remote.order === 'key' ? 'key' : 'none',
    delivery:
      local.delivery === 'at-least-once' && remote.delivery === 'at-least-once' ? 'at-least-once' : 'at-most-once',
    redelivery: local.redelivery && remote.redelivery,
    countsCrashes: local.countsCrashes && remote.countsCrashes,
    delay: local.delay && remote.delay,
    priority: local.priority === 'native' && remote.priority === 'native' ? 'native' : 'window',
    replay: remote.replay && (local.replay || !local.durable),
    park: local.park && remote.park,
    deadLetters: local.deadLetters && remote.deadLetters,
    // One of the two may be elsewhere: a bus that is given an outbox can, whatever its broker.
    transactions: false,
    maxMessageBytes: Math.min(local.maxMessageBytes, remote.maxMessageBytes),
  }
}

/** Numbers of the same name added up. */
function added<T extends object>(some: readonly T[], others: readonly T[], nameOf: (one: T) => string): readonly T[] {
  const all = new Map(some.map((one) => [nameOf(one), one]))
  for (const other of others) {
    const known = all.get(nameOf(other))
    all.set(nameOf(other), known === undefined ? other : sum(known, other))
  }
  return [...all.values()]
}

function sum<T extends object>(one: T, other: T): T {
  const values = Object.entries(one).map(([name, value]): [string, unknown] => {
    const more: unknown = Reflect.get(other, name)
    return [name, typeof value === 'number' && typeof more === 'number' ? value + more : value]
  })
  return Object.fromEntries(values) as T
}
