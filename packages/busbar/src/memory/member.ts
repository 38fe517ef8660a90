import type { BrokerSubscription, Deliver, SubscriptionSpec, Verdict } from '../broker/index.ts'
import { BrokerError, isLater, whenSettled } from '../broker/index.ts'
import { Fifo } from '../broker/fifo.ts'
import { type Entry, MemoryDelivery } from './entry.ts'

/** What a member tells its group. */
export interface Sharing {
  join(member: MemoryMember): void
  leave(member: MemoryMember, givenBack: readonly Entry[]): void
  settle(member: MemoryMember, delivery: MemoryDelivery, verdict: Verdict): void
}

/** One subscription: its window of unsettled deliveries. */
export class MemoryMember implements BrokerSubscription {
  /** Entries of keys that this member has, for which it has no room yet. */
  readonly backlog = new Fifo<Entry>()
  private readonly group: Sharing
  private readonly prefetch: number
  private readonly deliver: Deliver
  private readonly onStop: () => void
  private readonly unsettled: MemoryDelivery[] = []
  private readonly givenBack: Entry[] = []
  private stopping: PromiseWithResolvers<void> | undefined
  private gone = false

  constructor(group: Sharing, spec: SubscriptionSpec, deliver: Deliver, onStop: () => void) {
    this.group = group
    this.prefetch = spec.prefetch
    this.deliver = deliver
    this.onStop = onStop
  }

  get inFlight(): readonly MemoryDelivery[] {
    return this.unsettled
  }

  /** All entries that are this member's business now. */
  held(): Entry[] {
    return [...this.unsettled.map((delivery) => delivery.entry), ...this.backlog.items(), ...this.givenBack]
  }

  hasRoom(): boolean {
    return this.unsettled.length < this.prefetch && this.stopping === undefined
  }

  handOut(entry: Entry): void {
    const delivery = new MemoryDelivery(entry)
    delivery.slot = this.unsettled.length
    this.unsettled.push(delivery)
    const verdict = this.deliver(delivery)
    if (isLater(verdict)) whenSettled(verdict, (settled) => this.settle(delivery, settled))
    else this.settle(delivery, verdict)
  }

  /** A released entry: kept until the member has stopped, so that it goes back together with what is before it. */
  giveBack(entry: Entry): void {
    this.givenBack.push(entry)
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
    for (const delivery of this.unsettled.splice(0)) {
      delivery.slot = -1
      this.givenBack.push(delivery.entry)
      // The run that is cut off here has begun.
      delivery.entry.attempts++
      delivery.abort(reason)
    }
    this.group.leave(this, this.takeBack())
    this.onStop()
    this.stopping?.resolve()
  }

  private takeBack(): Entry[] {
    return [...this.givenBack.splice(0), ...this.backlog.drain()]
  }

  private settle(delivery: MemoryDelivery, verdict: Verdict): void {
    // Late: the member is gone and the message was given back.
    if (this.gone || delivery.slot < 0) return
    const last = this.unsettled.pop() as MemoryDelivery
    if (last !== delivery) {
      this.unsettled[delivery.slot] = last
      last.slot = delivery.slot
    }
    delivery.slot = -1
    this.group.settle(this, delivery, verdict)
    if (this.unsettled.length === 0 && this.stopping !== undefined) this.end()
  }
}
