import type { BrokerSubscription, Deliver, SubscriptionSpec } from '../broker/index.ts'
import { Quiet } from '../broker/quiet.ts'
import type { TopicPartition } from './assignment.ts'
import { pauseAfter, sleep } from './backoff.ts'
import { Commits } from './commits.ts'
import type { KafkaContext } from './context.ts'
import { reasonOf } from './errors.ts'
import { Fetcher } from './fetcher.ts'
import type { PartitionHost } from './host.ts'
import { Membership, type MembershipHost } from './membership.ts'
import { OwnedPartition } from './partition.ts'
import { hasBegun, takeOver } from './takeover.ts'
import type { Topic } from './topology.ts'
import { Window } from './window.ts'

/** One member of a group: a member of a consumer group of Kafka, with what it has of the group's partitions. */
export class GroupMember implements BrokerSubscription, PartitionHost, MembershipHost {
  readonly group: string
  readonly context: KafkaContext
  readonly window: Window
  readonly fetcher: Fetcher

  private readonly spec: SubscriptionSpec
  private readonly onStopped: (member: GroupMember) => void
  private readonly partitions = new Map<string, OwnedPartition>()
  private readonly quiet = new Quiet(() => ![...this.partitions.values()].some((partition) => partition.busy))
  private readonly taking = new Set<Promise<void>>()
  private readonly commits: Commits
  private topics = new Map<string, Topic>()
  private membership: Membership | undefined
  private stopping: Promise<void> | undefined

  constructor(
    context: KafkaContext,
    spec: SubscriptionSpec,
    deliver: Deliver,
    onStopped: (member: GroupMember) => void,
  ) {
    this.context = context
    this.spec = spec
    this.group = spec.group
    this.window = new Window(spec, deliver)
    this.fetcher = new Fetcher(context.cluster)
    this.onStopped = onStopped
    this.commits = new Commits(context, spec.group, this.window, async (places) => {
      await this.membership?.commit(places)
    })
  }

  async start(): Promise<void> {
    const { context, group, spec } = this
    const { cluster, names, topology } = context
    const topics = await topology.ensure([...new Set(spec.topics)])
    await Promise.all(topics.map((topic) => topology.ensureRetries(group, topic)))
    this.topics = new Map(topics.map((topic) => [topic.log, topic]))
    this.membership = new Membership(cluster, names.group(group), [...this.topics.keys()], this)
    await this.membership.start()
    const all = new Map(topics.map(({ log, partitions }) => [log, Array.from({ length: partitions }, (_, n) => n)]))
    while (this.window.handing) {
      await Promise.all(this.taking)
      if (await hasBegun(context, group, all)) break
      await sleep(20)
    }
    setImmediate(() => this.window.begin())
  }

  get alive(): boolean {
    return this.membership?.alive ?? false
  }

  get owned(): readonly TopicPartition[] {
    return [...this.partitions.values()].map(({ topic, partition }) => ({ topic: topic.log, partition }))
  }

  /** Deliveries handed out and not settled, of one topic. */
  inFlight(topic: string): number {
    let count = 0
    for (const partition of this.partitions.values()) if (partition.topic.name === topic) count += partition.inFlight
    return count
  }

  /** Resolves when all that has settled is committed. */
  async flush(): Promise<void> {
    await this.commits.idle()
  }

  /** Others of the group may have come or gone. */
  look(): void {
    this.membership?.look()
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.window.handing = false
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  dirty(partition: OwnedPartition, now: boolean): void {
    this.commits.request(partition, now)
  }

  settled(partition: OwnedPartition): void {
    this.quiet.check()
    if (partition.draining && !partition.busy) void this.release([partition])
  }

  lapsed(): void {
    this.membership?.expire()
  }

  assigned(given: readonly TopicPartition[]): void {
    const wanted = new Set(given.map(keyOf))
    const idle: OwnedPartition[] = []
    for (const [key, partition] of this.partitions) {
      const was = partition.draining
      partition.draining = !wanted.has(key)
      if (was && !partition.draining) partition.wake()
      if (partition.draining && !partition.busy) idle.push(partition)
    }
    if (idle.length > 0) void this.release(idle)
    if (!this.window.handing) return
    const fresh = given.flatMap((one) => {
      const topic = this.topics.get(one.topic)
      if (topic === undefined || this.partitions.has(keyOf(one))) return []
      const owned = new OwnedPartition(this, topic, one.partition)
      this.partitions.set(keyOf(one), owned)
      return [owned]
    })
    if (fresh.length === 0) return
    const taking = this.take(fresh).finally(() => this.taking.delete(taking))
    this.taking.add(taking)
  }

  expelled(): void {
    for (const partition of this.partitions.values()) partition.lose()
    this.partitions.clear()
    this.quiet.check()
  }

  private async take(fresh: readonly OwnedPartition[]): Promise<void> {
    const { context, group, spec } = this
    for (let failures = 1; ; failures++) {
      const left = fresh.filter(({ lost }) => !lost)
      if (left.length === 0) return
      try {
        await takeOver(context, group, spec.from, left)
        for (const owned of left) owned.begin()
        return
      } catch (error) {
        if (context.cluster.closed) return
        context.logger.error({ group, err: reasonOf(error) }, 'partitions cannot be taken over: trying again')
      }
      await sleep(pauseAfter(failures))
    }
  }

  /** Gives partitions up in order, and tells the group. */
  private async release(partitions: readonly OwnedPartition[]): Promise<void> {
    const left = partitions.filter(({ leaving, lost }) => !leaving && !lost)
    if (left.length === 0) return
    await Promise.all(left.map((partition) => partition.leave()))
    for (const partition of left) {
      const key = keyOf({ topic: partition.topic.log, partition: partition.partition })
      if (this.partitions.get(key) === partition) this.partitions.delete(key)
    }
    this.quiet.check()
    this.membership?.changed()
  }

  private async shutDown(): Promise<void> {
    // Others may have what is not busy with us.
    const withdrawing = setImmediate(() => this.membership?.withdraw())
    await this.quiet.reached(undefined)
    clearImmediate(withdrawing)
    const given = Promise.all([...this.partitions.values()].map((partition) => partition.leave()))
    // Where the server is away nothing can be told: what was open then comes again.
    let timer: NodeJS.Timeout | undefined
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, this.context.cluster.settings.lease)
    })
    await Promise.race([given, late])
    clearTimeout(timer)
    this.expelled()
    await this.membership?.leave()
    await this.fetcher.close()
    this.onStopped(this)
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
