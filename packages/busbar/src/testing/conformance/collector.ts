import type { Broker, BrokerSubscription, Delivery, SubscriptionSpec, Verdict } from '../../broker/index.ts'
import { message } from '../suite/messages.ts'
import { eventually } from '../suite/waiting.ts'

export type Handle = (delivery: Delivery, nth: number) => Verdict | Promise<Verdict>

export const ack: Verdict = { ack: true }

const FENCE = 'ConformanceFence'

/** A member that remembers what it was given. Fences are kept apart and always acked. */
export class Collector {
  readonly deliveries: Delivery[] = []
  readonly #fences = new Set<string>()
  readonly #broker: Broker
  readonly #spec: SubscriptionSpec
  readonly #handle: Handle
  readonly #patience: number
  #subscription: BrokerSubscription | undefined
  /** Deliveries whose verdict is still out, now and at most. */
  running = 0
  peak = 0

  constructor(broker: Broker, spec: SubscriptionSpec, handle: Handle, patience: number) {
    this.#broker = broker
    this.#spec = spec
    this.#handle = handle
    this.#patience = patience
  }

  async subscribe(): Promise<this> {
    this.#subscription = await this.#broker.subscribe(this.#spec, (delivery) => this.#deliver(delivery))
    return this
  }

  #deliver(delivery: Delivery): Verdict | Promise<Verdict> {
    if (delivery.message.type === FENCE) {
      this.#fences.add(delivery.message.id)
      return ack
    }
    const nth = this.deliveries.push(delivery)
    this.running += 1
    this.peak = Math.max(this.peak, this.running)
    const verdict = this.#handle(delivery, nth)
    if (!(verdict instanceof Promise)) {
      this.running -= 1
      return verdict
    }
    return verdict.finally(() => {
      this.running -= 1
    })
  }

  get ids(): string[] {
    return this.deliveries.map((delivery) => delivery.message.id)
  }

  of(id: string): Delivery[] {
    return this.deliveries.filter((delivery) => delivery.message.id === id)
  }

  /** Waits until at least `count` deliveries have come. */
  async received(count: number): Promise<readonly Delivery[]> {
    const have = (): string => `${count} deliveries of group ${this.#spec.group}; ${this.deliveries.length} came`
    await eventually(() => this.deliveries.length >= count, have, this.#patience)
    return this.deliveries
  }

  /** Waits until at least one delivery of each id has come. */
  async receivedAll(ids: readonly string[]): Promise<void> {
    const missing = (): string[] => {
      const seen = new Set(this.ids)
      return ids.filter((id) => !seen.has(id))
    }
    const have = (): string => `group ${this.#spec.group} to get ${ids.length} messages; ${missing().length} never came`
    await eventually(() => missing().length === 0, have, this.#patience)
  }

  /** Waits until the group has settled all that was handed to this member. */
  async settled(): Promise<void> {
    await eventually(() => this.running === 0, `verdicts of group ${this.#spec.group}`, this.#patience)
  }

  /**
   * Publishes one sentinel for each key and waits for them: what was confirmed before with these keys has been delivered
   * by then, because order by key is kept. Without order by key it is only a delay.
   */
  async fence(topic: string, keys: readonly (string | undefined)[] = [undefined]): Promise<void> {
    const sentinels = keys.map((key) => message({ type: FENCE, ...(key === undefined ? {} : { key }) }))
    await this.#broker.publish(sentinels.map((one) => ({ topic, message: one })))
    const passed = (): boolean => sentinels.every((one) => this.#fences.has(one.id))
    await eventually(passed, `fence messages to reach group ${this.#spec.group}`, this.#patience)
  }

  async stop(deadline?: number): Promise<void> {
    await this.#subscription?.stop(deadline === undefined ? undefined : { deadline })
  }
}
