import type { BrokerSubscription, Deliver, SubscriptionSpec, Verdict } from '../broker/index.ts'
import { BrokerError, isLater, whenSettled } from '../broker/index.ts'
import { Fifo } from '../broker/fifo.ts'
import type { Entry } from './entry.ts'

/** What a member tells its group. */
export interface Sharing {
  join(member: MemoryMember): void
  leave(member: MemoryMember, givenBack: readonly Entry[]): void
  settle(member: MemoryMember, entry: Entry, verdict: Verdict): void
}

/** One subscription: its window of unsettled deliveries. */
export class MemoryMember implements BrokerSubscription {
  /** Entries of keys that this member has, for which it has no room yet. */
  readonly backlog = new Fifo<Entry>()
  private readonly group: Sharing
  private readonly prefetch: number
  private readonly deliver: Deliver
  private readonly onStop: () => void
  private readonly unsettled: Entry[] = []
  private readonly givenBack: Entry[] = []
  private stopping: PromiseWithResolvers<void> | undefined
  private gone = false

  constructor(group: Sharing, spec: SubscriptionSpec, deliver: Deliver, onStop: () => void) {
    this.group = group
    this.prefetch = spec.prefetch
    this.deliver = deliver
    this.onStop = onStop
  }

  get inFlight(): readonly Entry[] {
    return this.unsettled
  }

  /** All entries that are this member's business now. */
  held(): Entry[] {
    return [...this.unsettled, ...this.backlog.items(), ...this.givenBack]
  }

  hasRoom(): boolean {
    return this.unsettled.length < this.prefetch && this.stopping === undefined
  }

  handOut(entry: Entry): void {
    entry.holder = this
    entry.slot = this.unsettled.length
    this.unsettled.push(entry)
    const verdict = this.deliver(entry)
    if (isLater(verdict)) whenSettled(verdict, entry)
    else this.settle(entry, verdict)
  }

  /** A released entry: kept until the member has stopped, so that it goes back together with what is before it. */
  giveBack(entry: Entry): void {
    this.givenBack.push(entry.again())
    if (this.stopping !== undefined) return
    // Nobody stops, so it was released out of turn: back to its place at once.
    this.group.leave(this, this.takeBack())
    this.group.join(this)
  }

  stop({ deadline }: { readonly deadline?: number } = {}): Promise<void> {
    const { promise } = (this.stopping ??= Promise.withResolvers<void>())
    if (this.unsettled.length === 0) this.end()
    else if (deadline !== undefined) {
      // Each call has its own deadline; the first to pass ends it.
      const timer = setTimeout(() => this.end(), deadline)
      void promise.then(() => clearTimeout(timer))
    }
    return promise
  }

  private end(): void {
    if (this.gone) return
    this.gone = true
    const reason = new BrokerError('the subscription was stopped before this message was settled; it was given back')
    for (const entry of this.unsettled.splice(0)) {
      entry.slot = -1
      const again = entry.again()
      // The run that is cut off here has begun.
      again.attempts++
      this.givenBack.push(again)
      entry.abort(reason)
    }
    this.group.leave(this, this.takeBack())
    this.onStop()
    this.stopping?.resolve()
  }

  private takeBack(): Entry[] {
    return [...this.givenBack.splice(0), ...this.backlog.drain()]
  }

  settle(entry: Entry, verdict: Verdict): void {
    // Late: the member is gone and the message was given back.
    if (this.gone || entry.slot < 0) return
    const last = this.unsettled.pop() as Entry
    if (last !== entry) {
      this.unsettled[entry.slot] = last
      last.slot = entry.slot
    }
    entry.slot = -1
    this.group.settle(this, entry, verdict)
    if (this.unsettled.length === 0 && this.stopping !== undefined) this.end()
  }
}
