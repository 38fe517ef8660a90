import { type Broker, BrokerError, CONFIRMED, type Outgoing, PublishError } from '../broker/index.ts'

/** One call of publish that waits for the confirmation of all its messages. They are settled in their order. */
class Ticket {
  private readonly resolve: () => void
  private readonly reject: (error: Error) => void
  private readonly total: number
  private settled = 0
  private failed: PublishError['failed'][number][] | undefined

  constructor(total: number, resolve: () => void, reject: (error: Error) => void) {
    this.total = total
    this.resolve = resolve
    this.reject = reject
  }

  /** The next of its messages is confirmed. */
  confirm(): void {
    if (++this.settled === this.total) this.end()
  }

  /** The next of its messages is not. */
  refuse(id: string, error: Error): void {
    ;(this.failed ??= []).push({ index: this.settled, id, error })
    this.confirm()
  }

  private end(): void {
    if (this.failed === undefined) this.resolve()
    else if (this.total === 1) this.reject((this.failed[0] as { error: Error }).error)
    else this.reject(new PublishError(this.failed, this.total))
  }
}

/** Its `then` is a microtask, and cheaper than `queueMicrotask`, which makes a resource for async hooks. */
const SOON = Promise.resolve()

/** Most messages in one call of the broker. */
const MAX_BATCH = 1_000

/**
 * Turns concurrent publishes into batches: what is published in the same turn of the event loop, and while the batch
 * before is under way, goes to the broker together. One batch at a time, so the order of the calls is kept. For a broker
 * that confirms at once there is nothing to wait for: a single message goes to it in the call that publishes it.
 */
export class Batcher {
  /** Batches begun so far. */
  batches = 0
  private readonly broker: Broker
  private waiting: Outgoing[] = []
  /** Whose each of the waiting messages is. */
  private tickets: Ticket[] = []
  private scheduled = false
  private busy = false
  /** Messages that were taken out of `waiting` and are not confirmed. */
  private unconfirmed = 0
  /** A message that went to the broker outside of a batch and is not confirmed. */
  private following: Promise<void> | undefined
  /** The broker confirmed at once when it was last asked. */
  private atOnce = false

  constructor(broker: Broker) {
    this.broker = broker
  }

  /** Resolves when the broker has confirmed all of `outgoing`; rejects as `Broker.publish` does. */
  add(outgoing: readonly Outgoing[]): Promise<void> {
    if (outgoing.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.broker.assertOutside?.()
      const ticket = new Ticket(outgoing.length, resolve, reject)
      for (const each of outgoing) {
        this.waiting.push(each)
        this.tickets.push(ticket)
      }
      this.schedule()
    })
  }

  /** The same for a single message. */
  addOne(outgoing: Outgoing): Promise<void> {
    if (this.atOnce && this.unconfirmed === 0 && this.waiting.length === 0) {
      this.batches++
      const confirmed = this.broker.publish([outgoing])
      return confirmed === CONFIRMED ? CONFIRMED : this.follow(confirmed)
    }
    return new Promise((resolve, reject) => {
      this.broker.assertOutside?.()
      this.waiting.push(outgoing)
      this.tickets.push(new Ticket(1, resolve, reject))
      this.schedule()
    })
  }

  /** A single message that was not confirmed at once after all: what is published meanwhile goes after it. */
  private follow(confirmed: Promise<void>): Promise<void> {
    this.atOnce = false
    const told = confirmed.catch((thrown: unknown) => {
      const error = errorsOf(thrown)(0)
      if (error !== undefined) throw error
    })
    const over = (): void => {
      this.following = undefined
    }
    this.following = told.then(over, over)
    return told
  }

  private schedule(): void {
    if (this.scheduled || this.busy) return
    this.scheduled = true
    void SOON.then(this.flush)
  }

  /** Messages not yet confirmed? */
  get pending(): boolean {
    return this.busy || this.scheduled || this.following !== undefined
  }

  private readonly flush = (): void => {
    void this.run()
  }

  private async run(): Promise<void> {
    this.scheduled = false
    this.busy = true
    while (this.waiting.length > 0) {
      if (this.following !== undefined) await this.following
      this.batches++
      const { waiting, tickets } = this
      this.waiting = []
      this.tickets = []
      this.unconfirmed = waiting.length
      if (waiting.length <= MAX_BATCH) await this.send(waiting, tickets)
      else await this.sendInParts(waiting, tickets)
    }
    this.busy = false
  }

  private async sendInParts(batch: readonly Outgoing[], tickets: readonly Ticket[]): Promise<void> {
    for (let from = 0; from < batch.length; from += MAX_BATCH) {
      await this.send(batch.slice(from, from + MAX_BATCH), tickets.slice(from, from + MAX_BATCH))
    }
  }

  /** Never rejects: each message's fate is told to its ticket. */
  private async send(batch: readonly Outgoing[], tickets: readonly Ticket[]): Promise<void> {
    try {
      const confirmed = this.broker.publish(batch)
      this.atOnce = confirmed === CONFIRMED
      await confirmed
      this.unconfirmed -= batch.length
    } catch (thrown) {
      this.unconfirmed -= batch.length
      const errorOf = errorsOf(thrown)
      for (const [index, ticket] of tickets.entries()) {
        const error = errorOf(index)
        if (error === undefined) ticket.confirm()
        else ticket.refuse((batch[index] as Outgoing).message.id, error)
      }
      return
    }
    for (const ticket of tickets) ticket.confirm()
  }
}

/** Which messages of a batch were not confirmed, and why: those that the error names, else all. */
function errorsOf(thrown: unknown): (index: number) => Error | undefined {
  if (thrown instanceof PublishError) {
    const errors = new Map(thrown.failed.map(({ index, error }) => [index, error]))
    return (index) => errors.get(index)
  }
  const error = thrown instanceof Error ? thrown : new BrokerError(String(thrown))
  return () => error
}
