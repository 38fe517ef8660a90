import { SUSPECT_ALONE } from '../broker/blamed.ts'
import type { Verdict } from '../broker/index.ts'
import { pauseAfter, sleep } from './backoff.ts'
import type { OpenItem } from './cursor.ts'
import { HandedOut, isUnsettled } from './delivery.ts'
import { reasonOf } from './errors.ts'
import type { PartitionHost } from './host.ts'
import { Intake, type Next } from './intake.ts'
import { Redeliveries, type Returning } from './redeliveries.ts'
import { storeVerdict, undecodable } from './settling.ts'
import { placeOf, type Snapshot } from './snapshot.ts'
import type { Topic } from './topology.ts'
import { foreign, fromWire } from './wire.ts'

/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20

/** A partition that a member owns: hands out, and takes care of what becomes of it. What is committed the member decides. */
export class OwnedPartition implements Returning {
  readonly topic: Topic
  readonly partition: number
  /** Nothing more is handed out; it is given up when what is out has settled. */
  draining = false
  /** It is being given up in order. */
  leaving = false
  /** It is not ours any more: nothing of it may be written. */
  lost = false

  readonly intake: Intake
  private readonly redeliveries: Redeliveries
  private readonly host: PartitionHost
  /** In memory and not settled: of the log by offset, in order, and of what is set aside by entry. */
  private readonly open = new Map<number, HandedOut>()
  private readonly openAsides = new Map<string, HandedOut>()
  private grant = 0
  private begun = false
  private settledSince = 0
  private waiters: (() => void)[] = []
  private staged: HandedOut[] = []
  private pumping = false
  private again = false
  private timer: NodeJS.Timeout | undefined

  constructor(host: PartitionHost, topic: Topic, partition: number) {
    this.host = host
    this.topic = topic
    this.partition = partition
    this.intake = new Intake(host, this)
    this.redeliveries = new Redeliveries(host, this, this.intake)
  }

  /** Where it goes on from: what the owner before left open. Nothing is handed out before `begin`. */
  inherit(position: number, inherited: number, open: readonly OpenItem[]): void {
    const { intake } = this
    intake.position = position
    intake.inherited = inherited
    intake.backlog = open.filter(({ aside }) => !aside)
    for (const item of open) if (item.aside) intake.inheritedAsides.set(item.offset, item)
  }

  begin(): void {
    if (this.lost) return
    this.begun = true
    this.intake.readLog()
    this.wake()
  }

  get alive(): boolean {
    return !this.lost && this.host.alive
  }

  get inFlight(): number {
    let count = 0
    for (const one of this.open.values()) if (isUnsettled(one)) count++
    for (const one of this.openAsides.values()) if (isUnsettled(one)) count++
    return count
  }

  get busy(): boolean {
    return this.inFlight > 0
  }

  wake(): void {
    if (this.pumping) {
      this.again = true
      return
    }
    this.pumping = true
    do {
      this.again = false
      this.pump()
    } while (this.again)
    this.pumping = false
  }

  /** Gives it up in order: what is out has begun, and will not end with us. Nothing is suspect then. */
  async leave(): Promise<void> {
    if (this.lost || this.leaving) return
    this.leaving = true
    for (const one of [...this.open.values(), ...this.openAsides.values()]) if (isUnsettled(one)) one.begun++
    await this.whenCommitted()
    this.lose()
  }

  /** Resolves when all of now is committed, or it is lost. */
  whenCommitted(): Promise<void> {
    if (this.lost) return Promise.resolve()
    return new Promise((resolve) => {
      this.waiters.push(resolve)
      this.host.dirty(this, true)
    })
  }

  /** What is to be committed now. */
  snapshot(): Snapshot {
    const how = { clean: this.leaving, window: this.host.window.prefetch }
    const place = placeOf(this.intake, this.open.values(), this.openAsides.values(), how)
    const { settledSince: settled, waiters, staged } = this
    this.settledSince = 0
    this.waiters = []
    this.staged = []
    return { place, settled, waiters, staged }
  }

  committed({ place, settled, waiters, staged }: Snapshot): void {
    for (const resolve of waiters) resolve()
    if (this.lost) return
    this.grant = place.grant
    for (const one of staged) one.granted = true
    this.host.window.leave(settled)
    this.wake()
  }

  /** It has to be tried again. */
  notCommitted({ settled, waiters, staged }: Snapshot): void {
    if (this.lost) return this.resolve(waiters)
    this.settledSince += settled
    this.waiters = [...waiters, ...this.waiters]
    this.staged = [...staged, ...this.staged]
  }

  /** It is not ours any more: whoever still works on something of it is told. */
  lose(): void {
    if (this.lost) return
    this.lost = true
    clearTimeout(this.timer)
    let free = this.settledSince
    this.settledSince = 0
    for (const one of [...this.open.values(), ...this.openAsides.values()]) {
      one.abort()
      this.host.window.forget(one)
      if (one.state !== 'out') free++
    }
    this.resolve(this.waiters.splice(0))
    this.intake.close()
    this.host.window.leave(free)
  }

  readonly began = (delivery: HandedOut, attempts: number): void | Promise<void> => {
    if (this.lost || delivery.state !== 'out' || attempts <= delivery.begun) return undefined
    delivery.begun = attempts
    return this.whenCommitted()
  }

  private get mayHandOut(): boolean {
    return this.begun && !this.lost && !this.draining && !this.leaving && this.host.window.handing
  }

  private pump(): void {
    if (!this.mayHandOut) return
    for (const one of [...this.openAsides.values(), ...this.open.values()]) {
      if (one.state === 'held' && one.granted) this.handOut(one)
    }
    this.redeliveries.take()
    while (this.mayHandOut && !this.suspectOut) {
      const next = this.intake.peek()
      if (next === undefined || !this.take(next)) break
    }
    this.planNext()
  }

  /** False: it cannot be handed out just now. */
  private take(next: Next): boolean {
    const { record, item } = next
    const { window } = this.host
    if (item === undefined && record.offset >= this.grant) {
      this.host.dirty(this, true)
      return false
    }
    if (item?.suspect === true && !window.mayRun(item)) return false
    if (!window.enter(this)) return false
    this.intake.shift(next)
    const delivery = this.read(next)
    this.open.set(record.offset, delivery)
    if (delivery.suspect) {
      window.reserve(delivery)
      this.stage(delivery)
    } else this.handOut(delivery)
    return true
  }

  /** It goes out once a commit has told so. */
  private stage(delivery: HandedOut): void {
    delivery.granted = false
    this.staged.push(delivery)
    this.host.dirty(this, true)
  }

  private read({ record, item }: Next): HandedOut {
    const { topic, partition } = this
    const { offset } = record
    const { attempts = 0, crashes = 0, suspect = false } = item ?? {}
    const from = { topic: topic.name, partition, offset, attempts, crashes, suspect }
    try {
      return new HandedOut(fromWire(record), from, this)
    } catch (error) {
      const message = foreign(topic.name, `${partition}@${offset}`, record)
      return new HandedOut(message, { ...from, unreadable: error as Error }, this)
    }
  }

  isOpen(entry: string): boolean {
    return this.openAsides.has(entry)
  }

  /** A redelivery has been read. It goes out once a commit names it, so that a crash of ours is counted with it. */
  returned(delivery: HandedOut): void {
    this.openAsides.set(delivery.aside?.entry ?? '', delivery)
    if (delivery.suspect) this.host.window.reserve(delivery)
    this.stage(delivery)
  }

  private handOut(delivery: HandedOut): void {
    const { window, group } = this.host
    if (!this.mayHandOut || delivery.state !== 'held') return
    if (delivery.unreadable === undefined) return window.handOut(delivery, this.settle)
    delivery.state = 'out'
    this.settle(delivery, undecodable(group, delivery.unreadable))
  }

  private readonly settle = (delivery: HandedOut, verdict: Verdict): void => {
    if (delivery.state !== 'out') return
    if (!this.lost && !this.host.alive) this.host.lapsed()
    if (this.lost) {
      delivery.state = 'done'
      this.host.window.leave(1)
    } else if ('ack' in verdict && delivery.aside === undefined) {
      this.finish(delivery)
    } else if ('release' in verdict) {
      delivery.state = 'held'
      setTimeout(() => this.wake(), RELEASE_PAUSE)
    } else {
      delivery.state = 'storing'
      void this.store(delivery, verdict)
    }
    this.host.settled(this)
  }

  /** Unsettled until it is stored, however long that takes. */
  private async store(delivery: HandedOut, verdict: Verdict): Promise<void> {
    const { host, intake } = this
    for (let failures = 1; !this.lost; failures++) {
      try {
        const next = await storeVerdict(host.context, host.group, intake.asidePlace, delivery, verdict)
        intake.replaced(delivery.aside, next)
        break
      } catch (error) {
        const fields = { group: host.group, topic: this.topic.name, partition: this.partition, err: reasonOf(error) }
        host.context.logger.error(
          fields,
          'what became of a message cannot be stored: it stays unsettled and is tried again',
        )
      }
      await sleep(pauseAfter(failures))
    }
    if (this.lost) return
    this.finish(delivery)
    host.settled(this)
    this.wake()
  }

  private finish(delivery: HandedOut): void {
    delivery.state = 'done'
    if (delivery.aside === undefined) this.open.delete(delivery.offset ?? -1)
    else this.openAsides.delete(delivery.aside.entry)
    this.settledSince++
    this.host.dirty(this, false)
  }

  private get suspectOut(): boolean {
    const recent = performance.now() - SUSPECT_ALONE
    for (const one of this.open.values()) {
      if (one.suspect && (one.state === 'held' || (isUnsettled(one) && one.since > recent))) return true
    }
    return false
  }

  /** Wakes when the next message set aside is due, or a suspect may have become harmless. */
  private planNext(): void {
    const suspects = this.intake.backlog.length > 0 || this.intake.inheritedAsides.size > 0 || this.suspectOut
    const next = suspects ? 50 : this.intake.nextDue
    clearTimeout(this.timer)
    if (next < Infinity) this.timer = setTimeout(() => this.wake(), Math.min(Math.max(1, next), 2 ** 31 - 1))
  }

  private resolve(waiters: readonly (() => void)[]): void {
    for (const resolve of waiters) resolve()
  }
}
