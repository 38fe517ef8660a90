import {
  type Broker,
  BrokerError,
  type BrokerMetrics,
  type BrokerSubscription,
  type Capabilities,
  CONFIRMED,
  type DeadLetter,
  type Deliver,
  type Failure,
  type GroupMetrics,
  type Outgoing,
  type SubscriptionSpec,
  UnsupportedError,
} from '../broker/index.ts'
import { letterId, MemoryDeadLetters } from './dead-letters.ts'
import type { Entry, Reading } from './entry.ts'
import { type GroupHost, MemoryGroup } from './group.ts'
import { MemoryMember } from './member.ts'

export interface MemoryBrokerOptions {
  readonly clock?: {
    now(): number
    schedule(ms: number, callback: () => void): () => void
  }
  /** Largest body in bytes, estimated by the codec. Default 8 MiB. */
  readonly maxMessageBytes?: number
}

/** setTimeout fires at once above it. Whoever waits longer looks at the clock again then. */
const LONGEST_TIMER = 2 ** 31 - 1

const realClock = {
  // Asked by name each time, so that a test that replaces Date is believed.
  now: () => Date.now(),
  schedule(ms: number, callback: () => void): () => void {
    const timer = setTimeout(callback, Math.min(ms, LONGEST_TIMER))
    return () => clearTimeout(timer)
  },
}

/**
 * Carries messages within one process: nothing survives it. For tests, for modules of one program, and as the local
 * part of a hybrid. A group keeps what it was sent while it has no member, without bound, until `deleteGroup`.
 */
export class MemoryBroker implements Broker {
  readonly name = 'memory'
  readonly capabilities: Capabilities
  readonly deadLetters: MemoryDeadLetters
  private readonly clock
  private readonly groups = new Map<string, MemoryGroup>()
  /** Members that have a copy of everything: each is a group by itself, for as long as it is there. */
  private readonly broadcasts = new Set<MemoryGroup>()
  /** Who gets what is published to a topic: groups and broadcast members. */
  private readonly readers = new Map<string, Set<Reading>>()
  private readonly members = new Set<MemoryMember>()
  private readonly timers = new Set<() => void>()
  private readonly delayed = new Map<string, number>()
  private sequence = 0
  private stopped = false
  private readonly host: GroupHost = {
    later: (ms, callback) => this.at(this.clock.now() + ms, callback),
    putAside: (group, entry, failure) => this.putAside(group, entry, failure),
  }

  constructor(options: MemoryBrokerOptions = {}) {
    this.clock = options.clock ?? realClock
    this.capabilities = {
      inProcess: true,
      durable: false,
      multiProcess: false,
      groups: true,
      broadcast: true,
      order: 'key',
      delivery: 'at-least-once',
      redelivery: true,
      countsCrashes: false,
      delay: true,
      priority: 'window',
      replay: false,
      park: true,
      deadLetters: true,
      transactions: false,
      maxMessageBytes: options.maxMessageBytes ?? 8 * 1024 * 1024,
    }
    this.deadLetters = new MemoryDeadLetters({
      redrive: (letter) => this.redrive(letter),
      discarded: (letter) => {
        for (const group of this.called(letter.group)) group.passOn(letter.message.key)
      },
      parked: () => this.parked(),
    })
  }

  async start(): Promise<void> {
    this.refuseStopped()
  }

  publish(batch: readonly Outgoing[]): Promise<void> {
    if (this.stopped) return Promise.reject(stoppedError())
    for (const { group } of batch) {
      if (group !== undefined && !this.groups.has(group)) return Promise.reject(unknownGroup(group))
    }
    for (const outgoing of batch) {
      if (outgoing.deliverAt === undefined) this.spread(outgoing)
      else this.delay(outgoing, outgoing.deliverAt)
    }
    return CONFIRMED
  }

  async subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    this.refuseStopped()
    if (spec.from === 'earliest')
      throw new UnsupportedError(`broker 'memory' keeps no history: subscribe from 'latest'`)
    const group = spec.broadcast ? new MemoryGroup(spec.group, this.host, spec.onFailure) : this.group(spec)
    if (spec.broadcast) this.broadcasts.add(group)
    for (const topic of spec.topics) {
      const readers = this.readers.get(topic) ?? new Set()
      this.readers.set(topic, readers.add(group.reading(topic)))
    }
    const member = new MemoryMember(group, spec, deliver, () => {
      this.members.delete(member)
      if (this.broadcasts.delete(group)) this.unlist(group)
    })
    this.members.add(member)
    group.join(member)
    return member
  }

  async deleteGroup(name: string): Promise<void> {
    const group = this.groups.get(name)
    if (group === undefined) return
    if (group.members.length > 0)
      throw new BrokerError(`group '${name}' has ${group.members.length} members: stop them first`)
    this.groups.delete(name)
    this.unlist(group)
  }

  async metrics(): Promise<BrokerMetrics> {
    const topics = new Set([...this.readers.keys(), ...this.delayed.keys()])
    return {
      topics: [...topics].map((topic) => ({ topic, depth: this.depth(topic), delayed: this.delayed.get(topic) ?? 0 })),
      groups: [...this.groups.values(), ...this.broadcasts].flatMap((group) =>
        [...group.topics.keys()].map((topic) => this.groupMetrics(group, topic)),
      ),
    }
  }

  async ping(): Promise<void> {
    this.refuseStopped()
  }

  async stop(options: { readonly deadline?: number } = {}): Promise<void> {
    await Promise.all([...this.members].map((member) => member.stop(options)))
    this.stopped = true
    for (const cancel of this.timers) cancel()
    this.timers.clear()
  }

  private group(spec: SubscriptionSpec): MemoryGroup {
    const known = this.groups.get(spec.group)
    if (known !== undefined) return known
    const group = new MemoryGroup(spec.group, this.host, spec.onFailure)
    this.groups.set(spec.group, group)
    return group
  }

  private unlist(group: MemoryGroup): void {
    for (const [topic, reading] of group.topics) {
      const readers = this.readers.get(topic)
      readers?.delete(reading)
      if (readers?.size === 0) this.readers.delete(topic)
    }
  }

  private spread(outgoing: Outgoing): void {
    const sequence = ++this.sequence
    if (outgoing.group !== undefined) {
      this.groups.get(outgoing.group)?.reading(outgoing.topic).accept(outgoing, sequence)
      return
    }
    const readers = this.readers.get(outgoing.topic)
    if (readers === undefined) return
    for (const reading of readers) reading.accept(outgoing, sequence)
  }

  private delay(outgoing: Outgoing, at: number): void {
    this.count(outgoing.topic, 1)
    this.at(at, () => {
      this.count(outgoing.topic, -1)
      this.spread(outgoing)
    })
  }

  private count(topic: string, change: number): void {
    this.delayed.set(topic, (this.delayed.get(topic) ?? 0) + change)
  }

  /** Calls back at a time of the clock or later. A timer can fire a moment before that: then it waits once more. */
  private at(time: number, callback: () => void): void {
    const cancel = this.clock.schedule(Math.max(0, Math.ceil(time - this.clock.now())), () => {
      this.timers.delete(cancel)
      if (this.stopped) return
      if (this.clock.now() < time) this.at(time, callback)
      else callback()
    })
    this.timers.add(cancel)
  }

  private putAside(group: MemoryGroup, entry: Entry, failure: Failure): void {
    const { message, topic, sequence, redeliveries } = entry
    this.deadLetters.add({ group: group.name, topic, position: String(sequence), message, failure, redeliveries })
  }

  private redrive({ group: name, topic, message }: DeadLetter): void {
    const groups = this.called(name)
    if (groups.length === 0)
      throw new BrokerError(`group '${name}' does not exist any more: subscribe it, then redrive`)
    for (const group of groups) {
      group.takeBack({ topic, message }, ++this.sequence)
    }
  }

  /** A group; or broadcast members, whose names need not be unique. */
  private called(name: string): readonly MemoryGroup[] {
    const group = this.groups.get(name)
    return group === undefined ? [...this.broadcasts].filter((each) => each.name === name) : [group]
  }

  private *parked(): Iterable<DeadLetter> {
    for (const group of [...this.groups.values(), ...this.broadcasts]) {
      for (const { message, topic, sequence } of group.parkedKeys?.parked() ?? []) {
        const since = message.time.getTime()
        yield {
          id: letterId(group.name, message.id),
          group: group.name,
          topic,
          position: String(sequence),
          message,
          redeliveries: 0,
          failure: {
            reason: 'parked',
            error: { name: 'Parked', message: `waits behind a failed message with key '${message.key}'` },
            handler: group.name,
            attempts: 0,
            firstFailedAt: since,
            lastFailedAt: since,
          },
        }
      }
    }
  }

  private depth(topic: string): number {
    let deepest = 0
    for (const { lag } of this.readers.get(topic) ?? []) deepest = Math.max(deepest, lag)
    return deepest
  }

  private groupMetrics(group: MemoryGroup, topic: string): GroupMetrics {
    let parked = 0
    for (const entry of group.parkedKeys?.parked() ?? []) if (entry.topic === topic) parked++
    const inFlight = group.members.flatMap((member) => member.inFlight).filter((delivery) => delivery.topic === topic)
    return {
      group: group.name,
      topic,
      lag: group.reading(topic).lag - parked,
      inFlight: inFlight.length,
      redelivering: group.reading(topic).redelivering,
      parked,
      dead: this.deadLetters.countOf(group.name, topic),
    }
  }

  private refuseStopped(): void {
    if (this.stopped) throw stoppedError()
  }
}

function stoppedError(): BrokerError {
  return new BrokerError('the memory broker was stopped')
}

function unknownGroup(group: string): BrokerError {
  return new BrokerError(
    `nothing was published: group '${group}' has never been subscribed here, so nobody would keep its message`,
  )
}
