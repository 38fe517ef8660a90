import type { BrokerSubscription, Deliver, SubscriptionSpec } from '../broker/index.ts'
import type { Asides } from './asides.ts'
import { pauseAfter, sleep } from './backoff.ts'
import type { NatsContext } from './context.ts'
import { createCursors } from './cursor.ts'
import type { NatsDeadLetters } from './dead-letters.ts'
import type { PartitionHost } from './host.ts'
import { OwnedPartition } from './partition.ts'
import { Quiet } from '../broker/quiet.ts'
import { Roster } from './roster.ts'
import type { Topic } from './topology.ts'
import { Window } from './window.ts'

/** What a member needs of its broker. */
export interface MemberParts {
  readonly context: NatsContext
  readonly asides: Asides
  readonly deadLetters: NatsDeadLetters
}

/** One member of a group: owns a share of the partitions, hands over what is above it, and keeps its leases alive. */
export class GroupMember implements BrokerSubscription, PartitionHost {
  readonly group: string
  readonly prefetch: number
  readonly parks: boolean
  readonly context: NatsContext
  readonly asides: Asides
  readonly deadLetters: NatsDeadLetters
  readonly window: Window

  private readonly spec: SubscriptionSpec
  private readonly onStopped: (member: GroupMember) => void
  private readonly roster: Roster
  private readonly partitions = new Map<string, OwnedPartition>()
  private readonly quiet = new Quiet(() => ![...this.partitions.values()].some((partition) => partition.busy))
  private topics: readonly Topic[] = []
  private heartbeat: NodeJS.Timeout | undefined
  private balancing: Promise<void> | undefined
  private balanceAgain = false
  private stopping: Promise<void> | undefined

  constructor(parts: MemberParts, spec: SubscriptionSpec, deliver: Deliver, onStopped: (member: GroupMember) => void) {
    this.context = parts.context
    this.asides = parts.asides
    this.deadLetters = parts.deadLetters
    this.group = spec.group
    this.prefetch = spec.prefetch
    this.parks = spec.onFailure === 'park'
    this.spec = spec
    this.onStopped = onStopped
    this.window = new Window(spec, deliver)
    this.roster = new Roster(this.context, spec.group, [...new Set(spec.topics)], () => void this.balanceSoon())
  }

  get id(): string {
    return this.roster.id
  }

  get alive(): boolean {
    return this.roster.alive
  }

  async start(): Promise<void> {
    this.topics = await this.context.topology.ensure([...new Set(this.spec.topics)])
    await Promise.all(this.topics.map((topic) => createCursors(this.context, this.group, topic, this.spec.from)))
    await this.roster.start()
    // Not unref'd: a process that only consumes stays alive.
    this.heartbeat = setInterval(() => void this.beat(), Math.max(10, this.context.lease / 4))
    await this.balanceSoon()
    setImmediate(() => this.window.begin())
  }

  /** Deliveries handed out and not settled, of one topic. */
  inFlight(topic: string): number {
    let count = 0
    for (const partition of this.partitions.values()) if (partition.topic.name === topic) count += partition.inFlight
    return count
  }

  /** Resolves when all that has settled is stored. */
  async flush(): Promise<void> {
    await Promise.all([...this.partitions.values()].map((partition) => partition.flush()))
  }

  /** A message leaves for the log of a topic, from this process. */
  coming(topic: Topic, partition: number, id: string): void {
    this.partitions.get(keyOf(topic, partition))?.coming(id)
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.window.handing = false
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  settled(partition: OwnedPartition): void {
    this.quiet.check()
    if (partition.draining && !partition.busy) void this.balanceSoon()
  }

  lost(partition: OwnedPartition): void {
    const key = keyOf(partition.topic, partition.partition)
    if (this.partitions.get(key) === partition) this.partitions.delete(key)
    this.quiet.check()
  }

  private async beat(): Promise<void> {
    if (!this.roster.alive) this.loseAll()
    try {
      await this.roster.beat()
      await this.roster.bury()
    } catch (error) {
      this.context.logger.warn({ group: this.group, err: String(error) }, 'no heartbeat could be written: trying again')
    }
    await this.balanceSoon()
  }

  private loseAll(): void {
    for (const partition of this.partitions.values()) {
      void partition.lose()
      this.lost(partition)
    }
  }

  /** Many calls, one after another. */
  private balanceSoon(): Promise<void> {
    if (this.balancing !== undefined) {
      this.balanceAgain = true
      return this.balancing
    }
    this.balancing = this.balanceUntilDone().finally(() => {
      this.balancing = undefined
    })
    return this.balancing
  }

  private async balanceUntilDone(): Promise<void> {
    do {
      this.balanceAgain = false
      try {
        await this.balance()
      } catch (error) {
        this.context.logger.error({ group: this.group, err: String(error) }, 'cannot share partitions: trying again')
        await sleep(pauseAfter(1))
      }
    } while (this.balanceAgain && this.window.handing)
  }

  /** Compares what this member has with its share: takes what is free, begins to hand over what is too much. */
  private async balance(): Promise<void> {
    if (!this.window.handing || !this.roster.alive) return
    for (const topic of this.topics) {
      const owned = [...this.partitions.values()].filter((one) => one.topic === topic)
      for (const one of owned) {
        if (this.roster.ownerOf(topic.name, one.partition) === this.id) continue
        void one.lose()
        this.lost(one)
      }
      const mine = owned.filter((one) => !one.lost)
      const share = this.roster.share(topic.name, topic.partitions)
      this.drain(mine, share)
      const free = this.unowned(topic).filter((partition) => this.roster.isFree(topic.name, partition))
      const room = Math.max(0, share - mine.length)
      const claims = free.slice(0, room).map((partition) => this.claim(topic, partition))
      for (const result of await Promise.allSettled(claims)) if (result.status === 'rejected') throw result.reason
      await this.giveBack(topic)
    }
    await this.releaseDrained()
  }

  /** Of the topic, those that this member does not work on. */
  private unowned(topic: Topic): number[] {
    const all = Array.from({ length: topic.partitions }, (_, partition) => partition)
    return all.filter((partition) => !this.partitions.has(keyOf(topic, partition)))
  }

  /**
   * A lease outlives what it stood for: this member was frozen, or could not write that it gave the partition up. As long as
   * it lives nobody else may take such a partition, so what is not taken up again within the share is given back.
   */
  private async giveBack(topic: Topic): Promise<void> {
    const kept = this.unowned(topic).filter((partition) => this.roster.ownerOf(topic.name, partition) === this.id)
    await Promise.all(kept.map((partition) => this.roster.release(topic.name, partition)))
  }

  private async claim(topic: Topic, partition: number): Promise<void> {
    if (!(await this.roster.claim(topic.name, partition))) return
    const owned = new OwnedPartition(this, topic, partition)
    this.partitions.set(keyOf(topic, partition), owned)
    let taken = false
    try {
      taken = await owned.start()
    } finally {
      if (!taken) {
        await owned.lose()
        this.lost(owned)
      }
    }
  }

  /** Partitions above the share are handed over, the least busy first: nothing more is handed out of them. */
  private drain(owned: readonly OwnedPartition[], share: number): void {
    const byLoad = owned.toSorted((a, b) => Number(b.draining) - Number(a.draining) || a.load - b.load)
    const draining = new Set(byLoad.slice(0, Math.max(0, owned.length - share)))
    for (const partition of owned) {
      const was = partition.draining
      partition.draining = draining.has(partition)
      if (was && !partition.draining) partition.wake()
    }
  }

  private async releaseDrained(): Promise<void> {
    const drained = [...this.partitions.values()].filter((one) => one.draining && !one.busy)
    await Promise.all(drained.map((one) => this.release(one)))
  }

  private async release(partition: OwnedPartition): Promise<void> {
    await partition.release().catch((error: unknown) => {
      const fields = { group: this.group, topic: partition.topic.name, err: String(error) }
      this.context.logger.warn(fields, 'a partition could not be given up clean: what was open comes again')
    })
    this.lost(partition)
    await this.roster.release(partition.topic.name, partition.partition).catch(() => {})
  }

  private async shutDown(): Promise<void> {
    await this.balancing
    await this.quiet.reached(undefined)
    clearInterval(this.heartbeat)
    await Promise.all([...this.partitions.values()].map((partition) => this.release(partition)))
    await this.roster.stop()
    this.onStopped(this)
  }
}

function keyOf(topic: Topic, partition: number): string {
  return `${topic.name}/${partition}`
}
