import { type Deliver, type Delivery, isLater, type Verdict } from '../broker/index.ts'
import { Fifo } from '../broker/fifo.ts'

interface Waiting {
  readonly delivery: Delivery
  readonly settle: (verdict: Verdict | PromiseLike<Verdict>) => void
}

const RELEASE: Verdict = { release: true }

/**
 * Lets two subscriptions be one to the outside: of what both hand out, at most `prefetch` are with the engine at once. What
 * comes beyond waits here in the order in which it came, so each holds at most its own `prefetch`.
 */
export class SharedWindow {
  readonly #prefetch: number
  readonly #deliver: Deliver
  readonly #waiting = new Fifo<Waiting>()
  #open = 0
  #closed = false

  constructor(prefetch: number, deliver: Deliver) {
    this.#prefetch = prefetch
    this.#deliver = deliver
  }

  /** The `Deliver` that both brokers are given. */
  readonly deliver: Deliver = (delivery) => {
    if (this.#closed) return RELEASE
    if (this.#open < this.#prefetch) return this.#run(delivery)
    return new Promise((settle) => this.#waiting.push({ delivery, settle }))
  }

  /** Hands out nothing more; what waits is given back. */
  close(): void {
    this.#closed = true
    for (const { settle } of this.#waiting.drain()) settle(RELEASE)
  }

  #run(delivery: Delivery): Verdict | PromiseLike<Verdict> {
    this.#open++
    const verdict = this.#deliver(delivery)
    if (isLater(verdict)) {
      return verdict.then((settled) => {
        this.#leave()
        return settled
      })
    }
    this.#leave()
    return verdict
  }

  #leave(): void {
    this.#open--
    while (this.#open < this.#prefetch) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      const { delivery, settle } = next
      settle(delivery.lapsed ? RELEASE : this.#run(delivery))
    }
  }
}
