import { performance } from 'node:perf_hooks'
import type { SubscriptionSpec } from '../broker/index.ts'
import { list, type Reply, run, text } from './connection.ts'
import type { RedisContext } from './context.ts'
import { type HandedOut, isUnsettled } from './delivery.ts'
import { partitionOf } from '../broker/partitioning.ts'
import { type OpenItem, OwnedPartition } from './partition.ts'
import type { Topic } from './topology.ts'
import type { Window } from './window.ts'

export interface HoldingsHost {
  readonly context: RedisContext
  readonly spec: SubscriptionSpec
  /** Id of the member. */
  readonly id: string
  readonly window: Window
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

  keysOf(topic: Topic): [string, string] {
    const { keys } = this.host.context
    return [keys.group(topic.name, this.host.spec.group), keys.base(topic.name)]
  }

  async enter(): Promise<void> {
    const { context, spec, id } = this.host
    const from = spec.from === 'earliest' ? '0' : '$'
    for (const topic of this.topics) {
      const args = [spec.group, id, context.lease, topic.partitions, from]
      await run(context.redis, 'busbarEnter', [...this.keysOf(topic), ...args])
    }
  }

  /** Sign of life; finds leases that were lost, takes what is free up to the share, begins to hand over what is too much. */
  async beat(): Promise<void> {
    const { context, id, window } = this.host
    for (const topic of this.topics) {
      const args = [...this.keysOf(topic), id, context.lease, topic.partitions]
      const expires = performance.now() + context.lease
      const [held, free, alive] = list(await run(context.redis, 'busbarBeat', args))
      const tokens = new Map<string, string>()
      const flat = list(held)
      for (let i = 0; i + 1 < flat.length; i += 2) tokens.set(text(flat[i]), text(flat[i + 1]))
      const owned = this.all().filter((one) => one.topic === topic)
      for (const one of owned) {
        if (tokens.get(String(one.n)) === one.token) one.expires = expires
        else this.lose(one)
      }
      if (!window.handing) continue
      const mine = owned.filter((one) => !one.lost)
      const quota = share(topic, id, list(alive).map(text))
      this.drain(mine, quota)
      const wanted = list(free)
        .map(Number)
        .slice(0, Math.max(0, quota - mine.length))
      await Promise.all(wanted.map((n) => this.claim(topic, n)))
    }
    await this.releaseDrained()
  }

  /** Gives up the partitions that are to be handed over and have nothing out any more. */
  async releaseDrained(): Promise<void> {
    for (const partition of this.all()) {
      if (partition.draining && !partition.busy && !partition.dirty) await this.release(partition, [])
    }
  }

  /** What was read for us and never arrived, because the connection broke, comes next. */
  async resync(partition: OwnedPartition): Promise<void> {
    const { context, spec } = this.host
    const entries = [...partition.aside].map((one) => one.entry ?? '')
    const args = [...this.keysOf(partition.topic), partition.n, partition.token, spec.group, ...entries]
    const reply = await run(context.redis, 'busbarResync', args)
    if (reply === null) return this.lose(partition)
    const known = new Set([...partition.line].map((one) => one.id).concat(partition.acks))
    partition.backlog = openItems(reply).filter((one) => !known.has(one.id))
    partition.last = partition.backlog.at(-1)?.id ?? partition.last
    partition.nextDue = partition.nextSuspect = 0
  }

  lose(partition: OwnedPartition): void {
    this.partitions.delete(partition.stream)
    this.host.context.watcher.unwatch(partition.stream, partition)
    this.host.window.lose(partition)
  }

  /** Leaves the group: everything is released, and what is not settled is given back. */
  async giveUp(): Promise<void> {
    const { context, spec, id } = this.host
    for (const partition of this.all()) {
      // What is out has begun, and will not end with us.
      const cut = [...partition.all()].filter(isUnsettled)
      for (const delivery of cut) delivery.begun++
      await this.release(partition, cut)
    }
    for (const topic of this.topics) await run(context.redis, 'busbarLeave', [...this.keysOf(topic), spec.group, id])
  }

  loseAll(): void {
    for (const partition of this.all()) this.lose(partition)
  }

  private async release(partition: OwnedPartition, cut: readonly HandedOut[]): Promise<void> {
    const marks: string[] = []
    for (const { id, begun, crashes, suspect } of partition.line) {
      if (begun > 0 || suspect) marks.push(id, `${begun}:${crashes}:${suspect ? 's' : ''}`)
    }
    const attempts = cut.flatMap(({ entry, begun }) => (entry === undefined ? [] : [entry, begun]))
    const { context, spec } = this.host
    const args = [...this.keysOf(partition.topic), partition.n, partition.token, spec.group, ...marks, '', ...attempts]
    await run(context.redis, 'busbarRelease', args)
    this.lose(partition)
  }

  /** Partitions above the share are handed over, the least busy first: nothing more is handed out of them. */
  private drain(owned: readonly OwnedPartition[], quota: number): void {
    const byLoad = owned.toSorted((a, b) => Number(b.draining) - Number(a.draining) || a.load - b.load)
    const draining = new Set(byLoad.slice(0, Math.max(0, owned.length - quota)))
    for (const partition of owned) {
      const was = partition.draining
      partition.draining = draining.has(partition)
      if (!was || partition.draining) continue
      for (const delivery of partition.line) this.host.window.handOut(partition, delivery)
    }
  }

  private async claim(topic: Topic, n: number): Promise<void> {
    const { context, spec, id } = this.host
    const args = [...this.keysOf(topic), n, spec.group, id, context.lease]
    const expires = performance.now() + context.lease
    const reply = await run(context.redis, 'busbarClaim', args)
    if (reply === null) return
    const [token, open, last] = list(reply)
    const stream = context.keys.stream(topic.name, n)
    const claimed = { stream, group: spec.group, token: text(token), open: openItems(open), expires }
    const owned = new OwnedPartition(topic, n, claimed, () => this.host.wake())
    owned.last = text(last)
    this.partitions.set(stream, owned)
    this.host.wake()
  }
}

function openItems(reply: Reply | undefined): OpenItem[] {
  return list(reply).map((item) => {
    const [id, attempts, crashes, flag] = list(item).map(text)
    return { id: id ?? '', attempts: Number(attempts), crashes: Number(crashes), suspect: flag !== '' }
  })
}

/** How many partitions a member should have: as equal as can be; with several topics the rest goes to another one for each. */
function share(topic: Topic, id: string, alive: readonly string[]): number {
  const members = alive.toSorted()
  const rank = members.indexOf(id)
  if (rank < 0) return 0
  const turned = (rank + partitionOf(topic.name, members.length)) % members.length
  return Math.floor(topic.partitions / members.length) + (turned < topic.partitions % members.length ? 1 : 0)
}
