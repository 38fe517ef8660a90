import type { Broker, BrokerSubscription, SubscriptionSpec } from '../broker/index.ts'
import type { Inbox } from '../transaction/inbox.ts'
import type { Clock } from './clock.ts'
import { type Counters, newCounters } from './counters.ts'
import type { Handling } from './handling.ts'
import { Lines } from './lines.ts'
import type { Subscription, SubscriptionStats } from './subscription.ts'

export interface MemberOptions {
  readonly spec: SubscriptionSpec
  readonly handler: string
  readonly concurrency: number
  readonly ageing: number
  readonly clock: Clock
  readonly stopDeadline: number
  readonly handling: (counters: Counters) => Handling
  readonly inbox: Inbox | undefined
  readonly onGone: (member: Member) => void
}

/** One member of a group in this process: a subscription of the broker, its lines, and the handling of each delivery. */
export class Member implements Subscription {
  readonly spec: SubscriptionSpec
  private readonly options: MemberOptions
  private readonly counters = newCounters()
  private readonly handling: Handling
  private readonly lines: Lines
  private subscription: BrokerSubscription | undefined
  private stopped: Promise<void> | undefined

  constructor(options: MemberOptions) {
    this.options = options
    this.spec = options.spec
    const handling = (this.handling = options.handling(this.counters))
    this.lines = new Lines({
      concurrency: options.concurrency,
      ageing: options.ageing,
      clock: options.clock,
      run: (turn) => handling.handle(turn),
    })
  }

  /** Takes up middleware that was added since. */
  compose(): void {
    this.handling.compose()
  }

  get group(): string {
    return this.spec.group
  }

  /** Resolves once the broker has really subscribed. */
  async start(broker: Broker): Promise<void> {
    // A start that failed half-way is made again for all; one that was unsubscribed meanwhile does not begin at all.
    if (this.subscription !== undefined || this.stopped !== undefined) return
    const { inbox } = this.options
    await inbox?.start()
    let subscription: BrokerSubscription
    try {
      subscription = await broker.subscribe(this.spec, (delivery) => this.lines.push(delivery))
    } catch (error) {
      await inbox?.stop()
      throw error
    }
    this.subscription = subscription
    if (this.stopped !== undefined) await subscription.stop({ deadline: 0 })
  }

  unsubscribe(options?: { readonly deadline?: number }): Promise<void> {
    const deadline = options?.deadline ?? this.options.stopDeadline
    if (this.stopped === undefined) this.stopped = this.stop(deadline)
    // Again, perhaps with less patience: the broker keeps to the deadline that passes first.
    else void this.subscription?.stop({ deadline })
    return this.stopped
  }

  private async stop(deadline: number): Promise<void> {
    // First no more from the broker, then give back what has not begun, so that nothing takes its place.
    const stopped = this.subscription?.stop({ deadline })
    this.lines.close()
    this.handling.stop()
    await stopped
    if (this.subscription !== undefined) await this.options.inbox?.stop()
    this.options.onGone(this)
  }

  pause(): void {
    this.lines.pause()
  }

  resume(): void {
    this.lines.resume()
  }

  stats(): SubscriptionStats {
    return {
      group: this.spec.group,
      handler: this.options.handler,
      ...this.counters,
      running: this.lines.running,
      waiting: this.lines.waiting,
      paused: this.lines.paused,
    }
  }
}
