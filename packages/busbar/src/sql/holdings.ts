import type { SubscriptionSpec } from '../broker/index.ts'
import type { SqlContext } from './context.ts'
import { isUnsettled } from './delivery.ts'
import type { Statements } from './executor.ts'
import { claim, freePartitions, release, renew } from './leases.ts'
import { bury, enter, leave, share } from './membership.ts'
import { OwnedPartition } from './partition.ts'
import { blockedLanes, countAttempts } from './set-aside.ts'
import type { Topic } from './topics.ts'
import type { Window } from './window.ts'
import { unentangled } from './unentangled.ts'

export interface HoldingsHost {
  readonly context: SqlContext
  readonly spec: SubscriptionSpec
  /** Id of the member. */
  readonly id: string
  readonly window: Window
  /** Asks for a turn of the pump. */
  wake(): void
}

/** The partitions that one member owns: it takes its share, hands over what is above it, and keeps the leases alive. */
export class Holdings {
  topics: readonly Topic[] = []

  private readonly host: HoldingsHost
  private readonly partitions = new Map<string, OwnedPartition>()

  constructor(host: HoldingsHost) {
    this.host = host
  }

  all(): readonly OwnedPartition[] {
    return [...this.partitions.values()]
  }

  loseAll(): void {
    for (const partition of this.all()) this.lose(partition)
  }

  get(topic: number, partition: number): OwnedPartition | undefined {
    return this.partitions.get(`${topic}/${partition}`)
  }

  /** Compares what this member has with its share: takes what is free, begins to hand over what is too much. */
  async balance(): Promise<void> {
    const { context, spec, id } = this.host
    for (const topic of this.topics) {
      const owned = this.all().filter((one) => one.topic === topic)
      const [quota, free] = await context.executor.read(async (sql) => {
        const now = Date.now()
        const due = await share(sql, spec.group, topic, id, now)
        return [due, owned.length < (due ?? 0) ? await freePartitions(sql, spec.group, topic, now) : []] as const
      })
      // Not in the list: it was silent for too long, and says so again with the next heartbeat.
      if (quota === undefined) continue
      this.drain(owned, quota)
      const wanted = free.filter((partition) => this.get(topic.id, partition) === undefined)
      if (owned.length < quota && wanted.length > 0) await this.claim(topic, wanted.slice(0, quota - owned.length))
    }
    await this.releaseDrained()
  }

  /** Gives up the partitions that are to be handed over and have nothing out any more. */
  async releaseDrained(): Promise<void> {
    const drained = this.all().filter((one) => one.draining && !one.busy)
    if (drained.length === 0) return
    await unentangled(this.host.context.executor, (sql) => this.releaseAll(sql, drained))
    for (const partition of drained) this.lose(partition)
    this.host.context.groupChanged(this.host.spec.group)
  }

  /** Sign of life; finds leases that were lost. */
  async beat(): Promise<void> {
    const { context, spec, id } = this.host
    const now = Date.now()
    const held = await unentangled(context.executor, async (sql) => {
      await enter(sql, spec.group, this.topics, id, now + context.lease)
      await bury(sql, spec.group, now - 2 * context.lease)
      return renew(sql, spec.group, id, now + context.lease)
    })
    for (const partition of this.all()) {
      if (held.get(partition.name) === partition.token) partition.expires = now + context.lease
      else this.lose(partition)
    }
  }

  /** What others have appended or set aside. */
  async look(): Promise<void> {
    const owned = this.all()
    if (owned.length > 0) await this.host.context.executor.read((sql) => this.lookAt(sql, owned))
  }

  lose(partition: OwnedPartition): void {
    if (this.partitions.get(partition.name) === partition) this.partitions.delete(partition.name)
    this.host.window.lose(partition)
  }

  /** Leaves the group: everything is released, and what is not settled is given back. */
  async giveUp(): Promise<void> {
    const { context, spec, id } = this.host
    const owned = this.all()
    // What is out has begun, and will not end with us.
    const cut = owned.flatMap((partition) => [...partition.all()].filter(isUnsettled))
    for (const delivery of cut) delivery.begun++
    await unentangled(context.executor, async (sql) => {
      for (const { entry, begun } of cut) if (entry !== undefined) await countAttempts(sql, entry, begun)
      await this.releaseAll(sql, owned)
      await leave(sql, spec.group, id)
    })
    this.loseAll()
  }

  /** Partitions above the share are handed over, the least busy first: nothing more is handed out of them. */
  private drain(owned: readonly OwnedPartition[], quota: number): void {
    const byLoad = owned.toSorted((a, b) => Number(b.draining) - Number(a.draining) || a.load - b.load)
    const draining = new Set(byLoad.slice(0, Math.max(0, owned.length - quota)))
    for (const partition of owned) {
      const was = partition.draining
      partition.draining = draining.has(partition)
      if (was && !partition.draining)
        for (const delivery of partition.line) this.host.window.handOut(partition, delivery)
    }
  }

  private async claim(topic: Topic, wanted: readonly number[]): Promise<void> {
    const { context, spec, id } = this.host
    const taken = await unentangled(context.executor, async (sql) => {
      const now = Date.now()
      const wish = { group: spec.group, topic, owner: id, now, expires: now + context.lease }
      const claims = await Promise.all(wanted.map((partition) => this.claimOne(sql, { ...wish, partition })))
      const owned = claims.filter((partition) => partition !== undefined)
      if (owned.length > 0) await this.lookAt(sql, owned)
      return owned
    })
    for (const partition of taken) this.partitions.set(partition.name, partition)
    if (taken.length > 0) this.host.wake()
  }

  private async claimOne(sql: Statements, wish: Parameters<typeof claim>[2]): Promise<OwnedPartition | undefined> {
    const got = await claim(sql, this.host.context.dialect, wish)
    if (got === undefined) return undefined
    const owned = new OwnedPartition(got, wish.expires, () => this.host.wake())
    if (this.host.spec.onFailure === 'park') for (const lane of await blockedLanes(sql, got)) owned.blocked.add(lane)
    return owned
  }

  private async lookAt(sql: Statements, owned: readonly OwnedPartition[]): Promise<void> {
    const wanted = owned.map(({ topic, partition, readTo: position }) => ({
      topic: topic.id,
      partition,
      position,
      limit: 1,
    }))
    const found = await this.host.context.dialect.look(sql, wanted, owned)
    for (const [index, partition] of owned.entries()) {
      const news = found[index]
      if (news === undefined) continue
      // Not lowered here: the log may have grown meanwhile.
      partition.more ||= news.more
      partition.nextDue = news.nextDue
      partition.nextSuspect = news.nextSuspect
    }
  }

  private async releaseAll(sql: Statements, partitions: readonly OwnedPartition[]): Promise<void> {
    const { dialect } = this.host.context
    await Promise.all(
      partitions.map((partition) =>
        release(sql, partition, { position: partition.position, open: partition.openList(dialect) }),
      ),
    )
  }
}
