import { type Broker, BrokerError, type Outgoing, PublishError } from '../broker/index.ts'

/** One call of publish that waits for the confirmation of all its messages. */
class Ticket {
  readonly outgoing: readonly Outgoing[]
  private readonly resolve: () => void
  private readonly reject: (error: Error) => void
  private open: number
  private failed: PublishError['failed'][number][] | undefined

  constructor(outgoing: readonly Outgoing[], resolve: () => void, reject: (error: Error) => void) {
    this.outgoing = outgoing
    this.open = outgoing.length
    this.resolve = resolve
    this.reject = reject
  }

  settle(index: number, error: Error | undefined): void {
    if (error !== undefined) {
      const id = (this.outgoing[index] as Outgoing).message.id
      ;(this.failed ??= []).push({ index, id, error })
    }
    if (--this.open > 0) return
    if (this.failed === undefined) this.resolve()
    else if (this.outgoing.length === 1) this.reject((this.failed[0] as { error: Error }).error)
    else this.reject(new PublishError(this.failed, this.outgoing.length))
  }
}

/** Most messages in one call of the broker. */
const MAX_BATCH = 1_000

/**
 * Turns concurrent publishes into batches: what is published in the same turn of the event loop, and while the batch
 * before is under way, goes to the broker together. One batch at a time, so the order of the calls is kept.
 */
export class Batcher {
  /** Batches begun so far. */
  batches = 0
  private readonly broker: Broker
  private readonly tickets: Ticket[] = []
  private scheduled = false
  private busy = false

  constructor(broker: Broker) {
    this.broker = broker
  }

  /** Resolves when the broker has confirmed all of `outgoing`; rejects as `Broker.publish` does. */
  add(outgoing: readonly Outgoing[]): Promise<void> {
    if (outgoing.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.tickets.push(new Ticket(outgoing, resolve, reject))
      if (this.scheduled || this.busy) return
      this.scheduled = true
      queueMicrotask(this.flush)
    })
  }

  /** Messages not yet confirmed? */
  get pending(): boolean {
    return this.busy || this.scheduled
  }

  private readonly flush = (): void => {
    void this.run()
  }

  private async run(): Promise<void> {
    this.scheduled = false
    this.busy = true
    while (this.tickets.length > 0) {
      this.batches++
      await this.send(this.tickets.splice(0))
    }
    this.busy = false
  }

  private async send(tickets: readonly Ticket[]): Promise<void> {
    const only = tickets[0]
    if (tickets.length === 1 && only !== undefined && only.outgoing.length <= MAX_BATCH) {
      await this.sendBatch(only.outgoing, (index, error) => only.settle(index, error))
      return
    }
    const entries = tickets.flatMap((ticket) => ticket.outgoing.map((outgoing, index) => ({ ticket, index, outgoing })))
    for (let from = 0; from < entries.length; from += MAX_BATCH) {
      const chunk = entries.slice(from, from + MAX_BATCH)
      await this.sendBatch(
        chunk.map((entry) => entry.outgoing),
        (index, error) => {
          const entry = chunk[index] as (typeof chunk)[number]
          entry.ticket.settle(entry.index, error)
        },
      )
    }
  }

  /** Never rejects: each message's fate is told to `settle`. */
  private async sendBatch(batch: readonly Outgoing[], settle: (index: number, error?: Error) => void): Promise<void> {
    try {
      await this.broker.publish(batch)
      for (let index = 0; index < batch.length; index++) settle(index)
    } catch (thrown) {
      const errors = thrown instanceof PublishError ? new Map(thrown.failed.map((f) => [f.index, f.error])) : undefined
      const all = thrown instanceof Error ? thrown : new BrokerError(String(thrown))
      for (let index = 0; index < batch.length; index++) settle(index, errors === undefined ? all : errors.get(index))
    }
  }
}
