import { pauseAfter } from './backoff.ts'
import { Cursor, FencedError, withAhead } from './cursor.ts'
import { type HandedOut, isUnsettled } from './delivery.ts'
import type { PartitionHost, PartitionView } from './host.ts'
import { Intake } from './intake.ts'
import { Line, type LineOwner } from './line.ts'
import { afterCrash, type OpenItem } from './open-list.ts'
import { storeVerdict, type ToStore } from './settling.ts'
import type { Topic } from './topology.ts'

/** Milliseconds after which what has settled is stored, where nothing more is fetched. */
const FLUSH_AFTER = 20

/**
 * A partition that a member owns: reads its log, hands out, and stores what becomes of it. Whatever it writes it writes in
 * turns, one after another: verdicts first, then the cursor that names all that is about to be handed out.
 */
export class OwnedPartition implements PartitionView, LineOwner {
  readonly topic: Topic
  readonly partition: number
  /** Nothing more is handed out; it is released when what is out has settled. */
  draining = false
  /** Another member has it, or it was released: nothing of it may be written any more. */
  lost = false

  private readonly host: PartitionHost
  private readonly cursor: Cursor
  private readonly intake: Intake
  private readonly line: Line
  /** The stored cursor is behind. */
  private dirty = false
  private waiters: (() => void)[] = []
  private turn: Promise<void> | undefined
  private again = false
  /** It is being given up: its last word is not to be written over. */
  private releasing = false
  /** For what has settled, and for what comes due. */
  private flushTimer: NodeJS.Timeout | undefined
  private dueTimer: NodeJS.Timeout | undefined
  private failures = 0
  private retryAt = 0

  constructor(host: PartitionHost, topic: Topic, partition: number) {
    this.host = host
    this.topic = topic
    this.partition = partition
    this.intake = new Intake(host, this)
    this.line = new Line(host, this)
    this.cursor = new Cursor(host.context, host.context.names.cursor(host.group, topic.name, partition))
  }

  /** Takes over from the owner before, whose writes are refused from here on. False: somebody was quicker. */
  async start(): Promise<boolean> {
    const { id, context } = this.host
    const { topic, partition } = this
    const log = context.names.log(topic.name, partition)
    for (;;) {
      const stored = await this.cursor.read()
      if (stored === undefined) return false
      const found = await withAhead(context, topic.stream, log, stored)
      const open = found.owner === '' ? found.open : afterCrash(found.open)
      this.intake.position = found.position
      this.intake.backlog = [...open]
      try {
        await this.cursor.write({ owner: id, position: found.position, open })
        break
      } catch (error) {
        if (!(error instanceof FencedError)) throw error
      }
    }
    await this.intake.start()
    this.wake()
    return !this.lost
  }

  get lapsed(): boolean {
    return this.lost || !this.host.alive
  }

  get open(): ReadonlySet<HandedOut> {
    return this.line.open
  }

  get inFlight(): number {
    return this.line.unsettled
  }

  get busy(): boolean {
    return this.inFlight > 0
  }

  get load(): number {
    return this.open.size
  }

  isBusy(lane: string): boolean {
    return this.line.isBusy(lane)
  }

  blocks(lane: string, seq: number): boolean {
    return this.intake.known.blocks(lane, seq)
  }

  checkLease(): void {
    if (!this.lost && !this.host.alive) this.giveUp()
  }

  changed(soon: boolean): void {
    if (!this.lost) {
      if (!soon) this.dirty = true
      if (soon) this.wake()
      else this.flushSoon()
    }
    this.host.settled(this)
  }

  began(delivery: HandedOut, attempts: number): void | Promise<void> {
    if (this.lost || delivery.state !== 'out' || attempts <= delivery.begun) return undefined
    delivery.begun = attempts
    this.dirty = true
    return new Promise((resolve) => {
      this.waiters.push(resolve)
      this.wake()
    })
  }

  /** Asks for a turn. Many calls, one turn. */
  wake(): void {
    if (this.lost || this.releasing) return
    if (this.turn !== undefined) {
      this.again = true
      return
    }
    this.begin(() => this.advance())
  }

  /**
   * A message leaves for this partition. Named while it is on its way, it can be handed out as soon as it comes, a round trip
   * earlier. The cursor leaves with it, since nothing is awaited before, and is one write less where it also stores what has settled.
   */
  coming(id: string): void {
    const { line, intake } = this
    const { window, alive } = this.host
    if (this.turn !== undefined || this.lost || this.releasing || this.draining || !alive || this.failures > 0) return
    if (!window.handing || window.full || intake.waiting || line.toStore.length + this.waiters.length > 0) return
    this.begin(() => {
      this.leaveSettled()
      return this.store(id)
    })
  }

  private begin(work: () => Promise<void>): void {
    // Known before it begins: what it does at once may ask for a turn.
    const { promise, resolve } = Promise.withResolvers<void>()
    this.turn = promise
    void this.run(work).finally(() => {
      this.turn = undefined
      resolve()
      if (!this.again) return
      this.again = false
      this.wake()
    })
  }

  /** Resolves when all that has settled is stored. */
  async flush(): Promise<void> {
    await this.turn
    while (this.dirty && !this.lost && this.failures === 0) {
      this.wake()
      await this.turn
    }
  }

  /** Gives the partition up, clean: what is open then is given back and not suspect. */
  async release(): Promise<void> {
    while (this.turn !== undefined) await this.turn
    if (this.lost) return
    this.releasing = true
    // What is out has begun, and will not end with us.
    for (const delivery of this.open) if (isUnsettled(delivery)) delivery.begun++
    const open = this.openList().map((item) => ({ ...item, started: false }))
    try {
      await this.cursor.write({ owner: '', position: this.intake.position, open })
    } finally {
      await this.lose()
    }
  }

  /** It is not ours any more: whoever still works on something of it is told. */
  async lose(): Promise<void> {
    if (this.lost) return
    this.lost = true
    clearTimeout(this.flushTimer)
    clearTimeout(this.dueTimer)
    this.line.abort()
    this.resolveWaiters(this.waiters)
    await this.intake.close()
  }

  private async run(work: () => Promise<void>): Promise<void> {
    const wait = this.retryAt - performance.now()
    if (wait > 0) return this.later(wait)
    if (!this.host.alive) return this.giveUp()
    try {
      if (this.line.toStore.length > 0) await this.storeVerdicts()
      await work()
      this.failures = 0
    } catch (error) {
      if (error instanceof FencedError) return this.giveUp()
      const pause = pauseAfter(++this.failures)
      this.retryAt = performance.now() + pause
      this.dirty = true
      this.later(pause)
      const fields = { group: this.host.group, topic: this.topic.name, partition: this.partition, err: String(error) }
      this.host.context.logger.error(fields, 'cannot read from or write to the server: trying again')
    }
  }

  private giveUp(): void {
    void this.lose()
    this.host.lost(this)
  }

  private async storeVerdicts(): Promise<void> {
    const { host, partition, topic, line } = this
    const batch = line.toStore
    line.toStore = []
    const at = { group: host.group, topic: topic.name, partition }
    const results = await Promise.allSettled(batch.map((one) => storeVerdict(host, at, one)))
    let failure: Error | undefined
    for (const [index, result] of results.entries()) {
      const one = batch[index] as ToStore
      if (result.status === 'rejected') {
        failure = result.reason as Error
        line.toStore.push(one)
        continue
      }
      this.intake.replaced(one.delivery.aside, result.value)
      line.finish(one.delivery)
    }
    if (failure === undefined) return
    // What could be stored is settled, whatever becomes of the others.
    await this.advance()
    throw failure
  }

  private async advance(): Promise<void> {
    if (this.lost) return
    const { line } = this
    const { window } = this.host
    this.leaveSettled()
    const fresh: HandedOut[] = []
    let changed = false
    try {
      changed = window.handing && !this.draining && (await this.intake.take(fresh))
    } finally {
      // Lost meanwhile, and with it all that was open: nobody else would give back the places of what was taken since.
      if (this.lost) {
        window.leave(fresh.length)
        for (const delivery of fresh) window.forget(delivery)
      } else for (const delivery of fresh) line.open.add(delivery)
    }
    if (this.lost) return
    // What a turn that failed has left in hand goes out below, too.
    const nothingElse = !changed && this.waiters.length === 0 && this.failures === 0
    const named = this.isNamed(fresh) && nothingElse
    if (named) this.dirty = true
    else if (fresh.length > 0 || changed || this.dirty) await this.store()
    // Also what an earlier turn could not write.
    for (const delivery of line.open) if (delivery.state === 'held') line.handOut(delivery)
    this.planNext()
  }

  /** It is one message, and what is stored names it. */
  private isNamed([first, ...more]: readonly HandedOut[]): boolean {
    return first?.seq !== undefined && more.length === 0 && !first.suspect && this.cursor.takeAhead(first.message.id)
  }

  /** Places of what has settled are free. */
  private leaveSettled(): void {
    const { acked } = this.line
    this.line.acked = 0
    this.host.window.leave(acked)
  }

  private async store(ahead?: string): Promise<void> {
    const { waiters } = this
    this.dirty = false
    clearTimeout(this.flushTimer)
    this.flushTimer = undefined
    await this.cursor.write({ owner: this.host.id, position: this.intake.position, open: this.openList(), ahead })
    this.resolveWaiters(waiters)
  }

  private openList(): OpenItem[] {
    return [...this.line.openList(), ...this.intake.backlog]
  }

  private flushSoon(): void {
    const { window } = this.host
    if (this.intake.waiting || window.wanted || window.full) return this.wake()
    this.flushTimer ??= setTimeout(() => {
      this.flushTimer = undefined
      this.wake()
    }, FLUSH_AFTER)
  }

  /** Wakes when the next message set aside is due, or a suspect may have become harmless. */
  private planNext(): void {
    if (this.lost) return
    if (this.dirty) return this.flushSoon()
    if (this.draining || !this.host.window.handing) return
    const next = this.intake.nextDue
    if (next < Infinity) this.later(next)
  }

  private later(ms: number): void {
    if (this.lost) return
    clearTimeout(this.dueTimer)
    this.dueTimer = setTimeout(() => this.wake(), Math.min(ms, 2 ** 31 - 1))
  }

  private resolveWaiters(waiters: readonly (() => void)[]): void {
    this.waiters = this.waiters.filter((waiter) => !waiters.includes(waiter))
    for (const waiter of waiters) waiter()
  }
}
