import { performance } from 'node:perf_hooks'
import type { Redis } from 'ioredis'
import type { SubscriptionSpec } from '../broker/index.ts'
import { asideOf } from './aside.ts'
import { pauseAfter } from '../broker/backoff.ts'
import { blamed } from '../broker/blamed.ts'
import { list, type Reply, run, text } from './connection.ts'
import type { RedisContext } from './context.ts'
import { HandedOut } from './delivery.ts'
import { together } from '../ioredis/together.ts'
import type { Holdings } from './holdings.ts'
import type { OpenItem, OwnedPartition } from './partition.ts'
import { storeVerdicts } from './verdicts.ts'
import type { Window } from './window.ts'
import { fromFields } from './wire.ts'

/** Most messages of one step of one partition: bounds the time that a script holds the server. */
const MOST = 512
/** Fewer than these are not worth a command, so a small window is filled from few partitions, in turns. */
const LEAST = 25

export interface PumpHost {
  readonly context: RedisContext
  readonly spec: SubscriptionSpec
  readonly window: Window
  readonly holdings: Holdings
  wake(when?: 'now'): void
  /** Asks for another turn after `pause` milliseconds. */
  again(pause: number): void
  /** Reads behind what was just sent over the connection, as a turn of its own, unless there is one already. */
  readBehind(partition: OwnedPartition, redis: Redis): boolean
}

interface Plan {
  readonly partition: OwnedPartition
  readonly limit: number
  readonly backlog: readonly OpenItem[]
  readonly suspects: boolean
  readonly log: boolean
}

/** Moves messages between the server and the window of a member: verdicts one way, what comes next the other. */
export class Pump {
  private readonly host: PumpHost
  private rotation = 0
  /** Partitions that the turn before fetched from. */
  private served = 0
  /** Some was handed out since the last fetch, and all of it has settled: partitions need not be mixed to keep the handlers busy. */
  private quick = false
  private handed = 0
  /** Taken into the window and not handed out yet: the next fetch is sent first, so that the server works meanwhile. */
  private readonly taken: { readonly partition: OwnedPartition; readonly found: readonly HandedOut[] }[] = []
  /** Partitions of which a step failed: what it did is not known. */
  private readonly uncertain = new Set<OwnedPartition>()

  constructor(host: PumpHost) {
    this.host = host
  }

  /** Is there something to hand out, if there were room? */
  get hasWork(): boolean {
    return this.host.window.handing && this.host.holdings.all().some((partition) => this.isReady(partition))
  }

  get isDirty(): boolean {
    return this.host.holdings.all().some((partition) => partition.dirty)
  }

  /** Fetches if there is room for it, and stores what has settled if `flush`, or if it fetches anyway. */
  async turn(flush: boolean): Promise<void> {
    for (const partition of this.uncertain) {
      if (!partition.lost) await this.host.holdings.resync(partition)
      this.uncertain.delete(partition)
    }
    await this.storeVerdicts()
    const { window, holdings } = this.host
    this.quick = this.handed > 0 && window.used === this.taken.reduce((sum, { found }) => sum + found.length, 0)
    this.handed = 0
    const owned = holdings.all()
    const fetching = window.wantsMore || (flush && window.handing && window.room > 0) ? this.ready(owned) : []
    const plans = this.plan(fetching)
    const planned = new Set(plans.map(({ partition }) => partition))
    for (const partition of owned) {
      if (planned.has(partition) || !partition.dirty) continue
      if (!flush && partition.storedWaiters.length === 0 && plans.length === 0) continue
      plans.push({ partition, limit: 0, backlog: [], suspects: false, log: false })
    }
    const steps = together(this.host.context.redis, () => this.send(plans))
    this.handOutTaken()
    const results = await Promise.allSettled(steps)
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  /** In order. */
  handOutTaken(): void {
    const { window } = this.host
    for (const { partition, found } of this.taken.splice(0)) {
      for (const delivery of found) window.handOut(partition, delivery)
      if (found.some(({ suspect }) => suspect)) blamed.end(partition)
      this.handed += found.length
    }
  }

  /** May the partition be read by a command alone just now? */
  mayReadBehind(partition: OwnedPartition): boolean {
    const { window } = this.host
    if (partition.draining || partition.lost || this.uncertain.size > 0 || this.taken.length > 0) return false
    if (!window.wantsMore || window.waits(partition) || partition.backlog.length > 0) return false
    return partition.toStore.length === 0 && this.isPlain(this.behind(partition))
  }

  /** Reads what a command before it on the same connection has appended. Nothing may be under way. */
  readBehind(partition: OwnedPartition, redis: Redis): Promise<void> {
    return this.plain(this.behind(partition), redis)
  }

  private behind(partition: OwnedPartition): Plan {
    return { partition, limit: Math.min(LEAST, this.host.window.room), backlog: [], suspects: false, log: true }
  }

  private send(plans: readonly Plan[]): Promise<void>[] {
    return plans.map((plan) => (this.isPlain(plan) ? this.plain(plan) : this.step(plan)))
  }

  /** Nothing but acks and what comes next in the log: needs no script, because the token is in the name of the consumer group. */
  private isPlain({ partition, backlog, suspects }: Plan): boolean {
    if (backlog.length > 0 || suspects || this.host.spec.onFailure === 'park') return false
    if (partition.marked || partition.begun.size > 0 || partition.storedWaiters.length > 0) return false
    return partition.nextDue > this.host.context.now()
  }

  private async storeVerdicts(): Promise<void> {
    const now = performance.now()
    const { context, spec, holdings, window } = this.host
    const storing = holdings.all().filter(({ toStore, storeAgainAt }) => toStore.length > 0 && now >= storeAgainAt)
    await Promise.all(
      storing.map(async (partition) => {
        const stored = await storeVerdicts(context, spec.group, holdings.keysOf(partition.topic), partition, window)
        if (stored === 'lost') holdings.lose(partition)
        else if (stored === 'failed') {
          const pause = pauseAfter(++partition.storeFailures)
          partition.storeAgainAt = performance.now() + pause
          this.host.again(pause)
        } else partition.storeFailures = 0
      }),
    )
    if (storing.length > 0) this.host.wake()
  }

  /** Begins with another partition each time, so that a small window serves all. */
  private ready(owned: readonly OwnedPartition[]): OwnedPartition[] {
    const ready = owned.filter((partition) => this.isReady(partition))
    this.rotation = ready.length === 0 ? 0 : (this.rotation + Math.max(1, this.served)) % ready.length
    return [...ready.slice(this.rotation), ...ready.slice(0, this.rotation)]
  }

  private isReady(partition: OwnedPartition): boolean {
    if (partition.draining || partition.lost) return false
    const { window, context } = this.host
    const now = context.now()
    if (partition.nextDue <= now) return true
    if (partition.nextSuspect <= now && window.mayRunBlamed) return true
    const [first] = partition.backlog
    if (first?.suspect === true) return window.mayRun(first) && !window.waits(partition)
    if (first !== undefined) return true
    return partition.more && !window.waits(partition)
  }

  private plan(ready: readonly OwnedPartition[]): Plan[] {
    const { window, context } = this.host
    const plans: Plan[] = []
    // Half of the window at once: the other half is handled meanwhile.
    let room = Math.min(window.room, Math.max(LEAST, Math.ceil(this.host.spec.prefetch / 2)))
    let suspects = window.mayRunSuspect ? 1 : 0
    const each = this.quick ? room : Math.max(LEAST, Math.ceil(room / Math.max(1, ready.length)))
    for (const partition of ready) {
      const limit = Math.min(MOST, each, room)
      if (limit <= 0) break
      room -= limit
      const waits = window.waits(partition)
      const [first] = partition.backlog
      let backlog: OpenItem[] = []
      if (first?.suspect === true) {
        if (!waits && suspects > 0 && window.mayRun(first)) backlog = [first]
        suspects -= backlog.length
      } else if (first !== undefined) {
        const end = partition.backlog.findIndex((item) => item.suspect)
        backlog = partition.backlog.slice(0, Math.min(limit, end < 0 ? Infinity : end))
      }
      // How often a process has died with one that is set aside is known when it comes.
      const alone = suspects > 0 && partition.nextSuspect <= context.now() && window.mayRunBlamed
      if (alone) suspects--
      const died = first?.suspect === true && backlog.length > 0 && first.crashes > 0
      if (alone || died) blamed.begin(partition)
      const log = first === undefined && partition.more && !waits
      plans.push({ partition, limit, backlog, suspects: alone, log })
    }
    this.served = plans.length
    return plans
  }

  private async plain({ partition, log, limit }: Plan, redis = this.host.context.redis): Promise<void> {
    const { stream, consumers } = partition
    const acks = partition.acks.splice(0)
    if (log) partition.more = false
    try {
      const acked = acks.length > 0 ? redis.xack(stream, consumers, ...acks) : undefined
      const group = ['GROUP', consumers, 'busbar', 'COUNT', limit, 'STREAMS', stream, '>']
      const reply = log ? ((await redis.callBuffer('XREADGROUP', ...group)) as Reply) : null
      await acked
      if (log && !partition.lost) this.takeLine(partition, list(list(list(reply)[0])[1]), limit)
    } catch (error) {
      // Another name of the consumer group, another owner.
      if (/NOGROUP/.test(String(error))) return this.host.holdings.lose(partition)
      partition.acks.unshift(...acks)
      this.uncertain.add(partition)
      partition.more = true
      throw error
    }
  }

  private async step(plan: Plan): Promise<void> {
    const { partition, backlog, log } = plan
    const { context, spec, holdings } = this.host
    const acks = partition.acks.splice(0)
    const { marked } = partition
    partition.marked = false
    const begun = [...partition.begun]
    partition.begun.clear()
    const waiters = partition.storedWaiters.splice(0)
    if (log) partition.more = false
    const about = [partition.n, partition.token, spec.group, context.lease, context.now(), plan.limit]
    const flags = [spec.onFailure === 'park', plan.suspects, log].map(Number)
    const reads = backlog.map((item) => item.id)
    const changes = [acks.length, ...acks, ...marksOf(begun, backlog), ...attemptsOf(begun)]
    const args = [...holdings.keysOf(partition.topic), ...about, ...flags, ...changes, reads.length, ...reads]
    let reply: Reply
    try {
      reply = await run(context.redis, 'busbarStep', args)
    } catch (error) {
      partition.acks.unshift(...acks)
      partition.marked ||= marked
      for (const delivery of begun) if (delivery.state !== 'done') partition.begun.add(delivery)
      partition.storedWaiters.unshift(...waiters)
      partition.more = true
      this.uncertain.add(partition)
      blamed.end(partition)
      throw error
    }
    for (const waiter of waiters) waiter()
    if (partition.lost) return
    if (reply === null) return holdings.lose(partition)
    this.take(plan, list(reply))
  }

  private take({ partition, backlog, log }: Plan, [asides, line, more, due, suspect, last]: readonly Reply[]): void {
    partition.backlog = partition.backlog.slice(backlog.length)
    if (log && more === 1) partition.more = true
    partition.nextDue = timeOf(due)
    partition.nextSuspect = timeOf(suspect)
    if (text(last) !== '') partition.last = text(last)
    const found = list(asides).map((one) => asideOf(one, partition, partition.topic.name))
    const known = new Map(backlog.map((item) => [item.id, item]))
    for (const one of list(line)) found.push(this.inLine(partition, list(one), known))
    this.keep(partition, found)
  }

  private takeLine(partition: OwnedPartition, entries: readonly Reply[], limit: number): void {
    if (entries.length >= limit) partition.more = true
    const found = entries.map((one) => this.inLine(partition, list(one), NONE))
    partition.last = found.at(-1)?.id ?? partition.last
    this.keep(partition, found)
  }

  private keep(partition: OwnedPartition, found: readonly HandedOut[]): void {
    const { window, context } = this.host
    for (const delivery of found) window.take(partition, delivery)
    if (found.length > 0) this.taken.push({ partition, found })
    if (!found.some(({ suspect }) => suspect)) blamed.end(partition)
    if (partition.more || partition.draining) return
    const grew = (): void => {
      partition.more = true
      this.host.wake('now')
    }
    const { stream, last } = partition
    context.watcher.watch(stream, partition, last, grew, (redis) => this.host.readBehind(partition, redis))
  }

  private inLine(
    partition: OwnedPartition,
    [name, fields]: readonly Reply[],
    known: ReadonlyMap<string, OpenItem>,
  ): HandedOut {
    const id = text(name)
    const place = `${partition.n}@${id}`
    const { message, error } = fromFields(list(fields) as readonly Buffer[], place)
    const { attempts = 0, crashes = 0, suspect = false } = known.get(id) ?? {}
    const from = { id, place, attempts, crashes, suspect, unreadable: error }
    return new HandedOut(partition, message, partition.topic.name, from)
  }
}

const NONE: ReadonlyMap<string, OpenItem> = new Map()

/** Unix milliseconds; Infinity: none. */
function timeOf(reply: Reply | undefined): number {
  const score = text(reply)
  return score === '' ? Infinity : Number(score)
}

/** What is to be kept with messages in line: runs that began, and that a suspect is about to be handed out. */
function marksOf(begun: readonly HandedOut[], backlog: readonly OpenItem[]): (string | number)[] {
  const marks: string[] = []
  for (const one of begun) {
    if (one.entry === undefined) marks.push(one.id, `${one.begun}:${one.crashes}:${one.suspect ? 'x' : ''}`)
  }
  for (const one of backlog) if (one.suspect) marks.push(one.id, `${one.attempts}:${one.crashes}:x`)
  return [marks.length / 2, ...marks]
}

function attemptsOf(begun: readonly HandedOut[]): (string | number)[] {
  const attempts = begun.flatMap((one) => (one.entry === undefined ? [] : [one.entry, one.begun]))
  return [attempts.length / 2, ...attempts]
}
