import type { BrokerSubscription, Deliver, SubscriptionSpec } from '../broker/index.ts'
import { isLater, whenSettled } from '../broker/index.ts'
import { type DeliveryOwner, HandedOut } from './delivery.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { fromPayload } from './pubsub-wire.ts'
import { Quiet } from '../broker/quiet.ts'

const owner: DeliveryOwner = {
  lapsed: false,
  began(delivery, attempts) {
    delivery.begun = Math.max(delivery.begun, attempts)
  },
}

interface Waiting {
  readonly topic: string
  readonly payload: Buffer
}

/** A member of a broadcast over Pub/Sub. What comes faster than it is handled waits in memory up to a limit; beyond it is lost. */
export class PubSubMember implements BrokerSubscription {
  readonly spec: SubscriptionSpec
  /** Messages that were lost because too many waited. */
  lost = 0

  private readonly deliver: Deliver
  private readonly maxWaiting: number
  private readonly logger: BrokerLogger
  private readonly onStopped: (member: PubSubMember) => Promise<void>
  private waiting: Waiting[] = []
  private next = 0
  private asked = false
  private count = 0
  private handing = true
  private readonly unsettled = new Set<HandedOut>()
  private stopping: Promise<void> | undefined
  private readonly quiet = new Quiet(() => this.unsettled.size === 0)

  constructor(
    spec: SubscriptionSpec,
    deliver: Deliver,
    with_: {
      readonly maxWaiting: number
      readonly logger: BrokerLogger
      readonly onStopped: (member: PubSubMember) => Promise<void>
    },
  ) {
    this.spec = spec
    this.deliver = deliver
    this.maxWaiting = with_.maxWaiting
    this.logger = with_.logger
    this.onStopped = with_.onStopped
  }

  inFlight(topic: string): number {
    return [...this.unsettled].filter((one) => one.topic === topic).length
  }

  waitingOf(topic: string): number {
    return this.waiting.slice(this.next).filter((one) => one.topic === topic).length
  }

  receive(topic: string, payload: Buffer): void {
    if (!this.handing) return
    if (this.waiting.length - this.next >= this.maxWaiting) {
      if (this.lost++ === 0) {
        const fields = { group: this.spec.group, topic, waiting: this.maxWaiting }
        this.logger.error(
          fields,
          'handlers are too slow for Pub/Sub: messages are lost. Use Redis Streams to keep them',
        )
      }
      return
    }
    this.waiting.push({ topic, payload })
    this.pump()
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  /** Not from within: a row of handlers that do nothing must not grow the stack. */
  private pumpSoon(): void {
    if (this.asked || this.next === this.waiting.length) return
    this.asked = true
    queueMicrotask(() => {
      this.asked = false
      this.pump()
    })
  }

  private pump(): void {
    while (this.handing && this.unsettled.size < this.spec.prefetch) {
      const one = this.waiting[this.next]
      if (one === undefined) break
      this.next++
      this.handOut(one)
    }
    // Moved in large steps: shifting a long list one by one is slow.
    if (this.next === this.waiting.length) this.waiting = []
    else if (this.next > 1_000) this.waiting = this.waiting.slice(this.next)
    else return
    this.next = 0
  }

  private handOut({ topic, payload }: Waiting): void {
    const place = `${topic}#${++this.count}`
    const { message, error } = fromPayload(payload, place)
    if (error !== undefined) {
      this.logger.warn({ topic, err: error.message }, 'what came over Pub/Sub is no message: left out')
      return
    }
    const delivery = new HandedOut(owner, message, topic, { id: '', place })
    this.unsettled.add(delivery)
    delivery.state = 'out'
    const settle = (): void => {
      if (!this.unsettled.delete(delivery)) return
      delivery.state = 'done'
      this.quiet.check()
      this.pumpSoon()
    }
    // Whatever the verdict: nothing can be given back.
    const verdict = this.deliver(delivery)
    if (isLater(verdict)) whenSettled(verdict, { settled: settle })
    else settle()
  }

  private async shutDown(): Promise<void> {
    this.handing = false
    this.waiting = []
    this.next = 0
    await this.quiet.reached(undefined)
    for (const delivery of this.unsettled) delivery.abort()
    this.unsettled.clear()
    await this.onStopped(this)
  }
}
