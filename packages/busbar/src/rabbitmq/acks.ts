import type { Channel, Message } from 'amqplib'
import { Fifo } from '../broker/fifo.ts'
import type { HandedOut } from './delivery.ts'

/**
 * Acks of one channel. What settles in one turn of the event loop goes together: one ack for all up to where nothing is open, and
 * one each for what settled beyond.
 */
export class Acks {
  private readonly written: (count: number) => void
  private channel: Channel | undefined
  /** In the order of their tags, up to the first that is open. */
  private readonly line = new Fifo<HandedOut>()
  private waiting: HandedOut[] = []

  /** `written` is told when so many acks have left the process: from then on a crash does not make these messages come again. */
  constructor(written: (count: number) => void) {
    this.written = written
  }

  begin(channel: Channel): void {
    this.channel = channel
  }

  delivered(delivery: HandedOut): void {
    this.line.push(delivery)
  }

  /** Its state is `done`. */
  settled(delivery: HandedOut): void {
    this.waiting.push(delivery)
    if (this.waiting.length === 1) setImmediate(this.flush)
  }

  readonly flush = (): void => {
    if (this.waiting.length === 0) return
    const settled = this.waiting
    this.waiting = []
    let upTo = 0
    let count = 0
    for (let head = this.line.peek(); head !== undefined && head.state === 'done'; head = this.line.peek()) {
      this.line.shift()
      if (head.acked) continue
      upTo = head.tag
      count++
    }
    if (count > 0) this.send(upTo, count > 1)
    for (const delivery of settled) {
      if (!delivery.acked && delivery.tag > upTo) this.send(delivery.tag, false)
      delivery.acked = true
    }
    // The client writes to its socket in the next turn, before this.
    setImmediate(this.written, settled.length)
  }

  private send(deliveryTag: number, upTo: boolean): void {
    try {
      // The client reads the tag alone.
      this.channel?.ack({ fields: { deliveryTag } } as Message, upTo)
    } catch {
      // The channel is closed: the message comes again.
      this.channel = undefined
    }
  }
}
