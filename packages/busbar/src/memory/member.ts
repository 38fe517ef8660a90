import type { BrokerSubscription, Deliver, SubscriptionSpec, Verdict } from '../broker/index.ts'
import { BrokerError } from '../broker/index.ts'
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
  private stopping: (() => void) | undefined
  private stopped: Promise<void> | undefined
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
    if (verdict instanceof Promise) void verdict.then((settled) => this.settle(delivery, settled))
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

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopped ??= this.end(options.deadline)
    return this.stopped
  }

  private async end(deadline: number | undefined): Promise<void> {
    const drained = new Promise<void>((resolve) => {
      this.stopping = resolve
    })
    if (this.unsettled.length > 0) {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        if (deadline !== undefined) timer = setTimeout(resolve, deadline)
      })
      await Promise.race([drained, late])
      clearTimeout(timer)
    }
    this.gone = true
    const reason = new BrokerError('the subscription was stopped before this message was settled; it was given back')
    for (const delivery of this.unsettled.splice(0)) {
      delivery.slot = -1
      this.givenBack.push(delivery.entry)
      delivery.entry.attempts = Math.max(delivery.entry.attempts, delivery.attempts + 1)
      delivery.abort(reason)
    }
    this.group.leave(this, this.takeBack())
    this.onStop()
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
    if (this.unsettled.length === 0) this.stopping?.()
  }
}
