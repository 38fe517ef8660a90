import { randomUUID } from 'node:crypto'
import type { BrokerSubscription, Deliver, SubscriptionSpec } from '../broker/index.ts'
import { partitionOf } from '../broker/partitioning.ts'
import { Quiet } from '../broker/quiet.ts'
import { pauseAfter, sleep } from './backoff.ts'
import type { RabbitContext } from './context.ts'
import { explain } from './errors.ts'
import { DelayedQueue } from './delayed.ts'
import { OwnedPartition, type PartitionHost } from './partition.ts'
import type { Registry } from './registry.ts'
import type { Roster } from './roster.ts'
import type { Stores } from './settling.ts'
import type { Topic, Topology } from './topology.ts'
import type { Vigil } from './vigil.ts'
import { Window } from './window.ts'

/** A partition is handed at least so many messages at once (and never more than `prefetch`); many partitions share a large prefetch. */
const LEAST_CREDIT = 32
/** Milliseconds to wait for further changes before partitions change hands. */
const SETTLING = 30

/** What a member needs of its broker. */
export interface MemberParts {
  readonly context: RabbitContext
  readonly topology: Topology
  readonly registry: Registry
  readonly roster: Roster
  readonly stores: Stores
  readonly vigil: Vigil
}

/** One member of a group: consumes its share of the partitions, and hands over what is above it. */
export class GroupMember implements BrokerSubscription, PartitionHost {
  readonly group: string
  readonly prefetch: number
  readonly window: Window
  readonly context: RabbitContext
  readonly stores: Stores
  credit = 1

  private readonly parts: MemberParts
  private readonly spec: SubscriptionSpec
  private readonly id = randomUUID()
  private readonly onStopped: (member: GroupMember) => void
  private readonly partitions = new Map<string, OwnedPartition>()
  /** Changing hands: not to be taken again before they have been left. */
  private readonly leaving = new Map<string, Promise<void>>()
  private readonly laters: DelayedQueue[] = []
  private readonly quiet = new Quiet(() => ![...this.partitions.values()].some((partition) => partition.out > 0))
  private topics: readonly Topic[] = []
  private offChange: () => void = () => {}
  private balancing: NodeJS.Timeout | undefined
  private recovering: Promise<void> | undefined
  private stopping: Promise<void> | undefined

  constructor(parts: MemberParts, spec: SubscriptionSpec, deliver: Deliver, onStopped: (member: GroupMember) => void) {
    this.parts = parts
    this.context = parts.context
    this.stores = parts.stores
    this.group = spec.group
    this.prefetch = spec.prefetch
    this.spec = spec
    this.onStopped = onStopped
    this.window = new Window(spec.prefetch, deliver)
  }

  get doubtful(): boolean {
    return this.parts.vigil.doubtful
  }

  sure(): Promise<void> {
    return this.parts.vigil.sure()
  }

  async start(): Promise<void> {
    const names = [...new Set(this.spec.topics)]
    await this.makeTopology(names)
    const count = this.topics.reduce((sum, { partitions }) => sum + partitions, 0)
    const share = Math.ceil((2 * this.prefetch) / count)
    this.credit = Math.min(this.prefetch, 65_535, Math.max(LEAST_CREDIT, share))
    for (const topic of names)
      this.laters.push(new DelayedQueue(this.context, this.context.names.later(topic, this.group)))
    await Promise.all(this.laters.map((later) => later.start()))
    const { roster } = this.parts
    this.offChange = roster.onChange(() => this.balanceSoon())
    roster.join({ id: this.id, group: this.group, topics: names })
    this.balanceSoon()
  }

  /** Deliveries handed out and not settled, of one topic. */
  inFlight(topic: string): number {
    let count = 0
    for (const partition of this.partitions.values()) if (partition.topic.name === topic) count += partition.out
    return count
  }

  /** Delivered and not settled, by topic. */
  *unsettled(): Iterable<readonly [string, number]> {
    for (const { topic, open } of this.partitions.values()) yield [topic.name, open.size]
  }

  /** Waiting for their time, by queue. */
  *waiting(): Iterable<readonly [string, number]> {
    for (const { queue, count } of this.laters) yield [queue, count]
  }

  settled(): void {
    this.quiet.check()
  }

  lost(partition: OwnedPartition, why: unknown): void {
    const { topic, n } = partition
    const key = `${topic.name}\0${n}`
    if (this.partitions.get(key) === partition) this.partitions.delete(key)
    this.quiet.check()
    if (this.stopping !== undefined) return
    if (why !== undefined && this.context.consuming.isUp) {
      const { message } = explain(why, `consume partition ${n} of topic ${topic.name} for group ${this.group}`)
      this.context.logger.error({ group: this.group, err: message }, 'RabbitMQ: a partition was lost; trying again')
    }
    this.recoverSoon()
  }

  private recoverSoon(): void {
    this.recovering ??= this.recover().finally(() => {
      this.recovering = undefined
    })
  }

  /** Queues may have been deleted, and after a reconnect nobody knows: everything is declared again. */
  private async recover(): Promise<void> {
    for (let failures = 1; this.stopping === undefined; failures++) {
      try {
        await sleep(pauseAfter(failures))
        await this.context.consuming.ready()
        this.parts.topology.forget()
        await this.makeTopology(this.topics.map(({ name }) => name))
        return this.balanceSoon()
      } catch (error) {
        if (this.stopping !== undefined || this.context.consuming.isOver) return
        this.context.logger.error(
          { group: this.group, err: String(error) },
          'RabbitMQ: cannot declare the group: trying again',
        )
      }
    }
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  private async makeTopology(names: readonly string[]): Promise<void> {
    const { topology, registry } = this.parts
    this.topics = await topology.ensure(names)
    for (const topic of this.topics) {
      await registry.addGroup(this.group, topic.name)
      await topology.makeGroup(topic, this.group)
    }
  }

  private balanceSoon(): void {
    if (this.stopping !== undefined) return
    this.balancing ??= setTimeout(() => {
      this.balancing = undefined
      this.balance()
    }, SETTLING)
  }

  /** Members take turns in the order of their ids; every process comes to the same result. */
  private balance(): void {
    if (this.stopping !== undefined) return
    // Cut off between two partitions there may be none that is lost, and so nobody else who begins again.
    if (!this.context.consuming.isUp) return this.recoverSoon()
    for (const topic of this.topics) {
      const members = this.parts.roster.membersOf(this.group, topic.name)
      const offset = partitionOf(topic.name, 65_536)
      for (let n = 0; n < topic.partitions; n++) {
        const isMine = members[(n + offset) % members.length] === this.id
        const key = `${topic.name}\0${n}`
        const partition = this.partitions.get(key)
        if (isMine && partition === undefined) this.take(key, topic, n)
        if (!isMine && partition !== undefined && !this.leaving.has(key)) this.handOver(key, partition)
      }
    }
  }

  private take(key: string, topic: Topic, n: number): void {
    const partition = new OwnedPartition(this, topic, n)
    this.partitions.set(key, partition)
    void partition.take()
  }

  /** What is running keeps the partition until it is settled: nobody else may begin what comes after it. */
  private handOver(key: string, partition: OwnedPartition): void {
    const left = partition
      .drain()
      .then(() => (this.stopping === undefined ? this.give(key, partition) : undefined))
      .finally(() => {
        this.leaving.delete(key)
        this.balanceSoon()
      })
    this.leaving.set(key, left)
  }

  private async give(key: string, partition: OwnedPartition): Promise<void> {
    await partition.leave()
    if (this.partitions.get(key) === partition) this.partitions.delete(key)
  }

  private async shutDown(): Promise<void> {
    this.window.handing = false
    clearTimeout(this.balancing)
    this.offChange()
    for (const partition of this.partitions.values()) void partition.drain()
    this.parts.roster.leave(this.id)
    await this.quiet.reached(undefined)
    const given = [...this.partitions].map(([key, partition]) => this.give(key, partition))
    await Promise.all([...given, ...this.laters.map((later) => later.stop())])
    this.onStopped(this)
  }
}
