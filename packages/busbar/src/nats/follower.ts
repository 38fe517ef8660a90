import type { Consumer, ConsumerMessages, DeliveryInfo, JsMsg, OrderedConsumerOptions } from '@nats-io/jetstream'
import { BrokerError } from '../broker/index.ts'
import { pauseAfter, sleep } from './backoff.ts'
import type { NatsContext } from './context.ts'

export interface FollowOptions {
  readonly stream: string
  readonly filter: string
  /** First sequence to read; `latest-of-each`: the last message of each subject, then what comes. */
  readonly from: number | 'latest-of-each'
  readonly headersOnly?: boolean
  /** Messages read ahead at most. */
  readonly ahead: number
}

/** Milliseconds between signs of life of an idle consumer; it is looked after when two are missing. */
const HEARTBEAT = 5_000

/** Milliseconds between two looks whether what was there has been read, where it does not come. */
const LOOK = 500

/** A promise holds back what comes next. */
type OnMessage = (message: JsMsg) => void | Promise<void>

/**
 * Reads a stream in order from some place and goes on as it grows, over reconnects and gaps: an ordered consumer, made
 * again after the last message read wherever it ends.
 */
export class Follower {
  private readonly context: NatsContext
  private readonly options: FollowOptions
  private readonly onMessage: OnMessage
  private consumer: Consumer | undefined
  private messages: ConsumerMessages | undefined
  private last = 0
  /** Where the last message read was, in its consumer. */
  private read: DeliveryInfo | undefined
  private left = 0
  private readonly caughtUp = Promise.withResolvers<void>()
  private behind = true
  private looking = false
  private closed = false

  private constructor(context: NatsContext, options: FollowOptions, onMessage: OnMessage) {
    this.context = context
    this.options = options
    this.onMessage = onMessage
    // Not everybody waits.
    this.caughtUp.promise.catch(() => {})
  }

  /** Resolves when it really follows. */
  static async open(context: NatsContext, options: FollowOptions, onMessage: OnMessage): Promise<Follower> {
    const follower = new Follower(context, options, onMessage)
    follower.left = await follower.begin()
    if (follower.left === 0) follower.arrived()
    context.onReconnect.add(follower.restart)
    void follower.run()
    return follower
  }

  /** Resolves when what was there when it was opened has been read, or it is closed. Rejects where the connection is. */
  ready(): Promise<void> {
    if (!this.looking) void this.look()
    return this.caughtUp.promise
  }

  /** Nothing is read after the call. */
  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.context.onReconnect.delete(this.restart)
    this.arrived()
    await this.end()
  }

  /**
   * A server that was gone has forgotten the consumer, and the client's own way back asks the new one for too little until
   * heartbeats are missed: the loop makes another at once.
   */
  private readonly restart = (): void => {
    void this.messages?.close()
  }

  /** Messages that were there to be read. */
  private async begin(): Promise<number> {
    const { stream, filter, from, headersOnly = false, ahead } = this.options
    const start: Partial<OrderedConsumerOptions> =
      from === 'latest-of-each' && this.last === 0
        ? { deliver_policy: 'last_per_subject' }
        : {
            deliver_policy: 'by_start_sequence',
            opt_start_seq: Math.max(this.last + 1, from === 'latest-of-each' ? 1 : from),
          }
    const consumer = await this.context.js.consumers.get(stream, {
      filter_subjects: filter,
      headers_only: headersOnly,
      ...start,
    })
    this.consumer = consumer
    const { num_pending } = await consumer.info(true)
    const max_messages = Math.max(2, ahead)
    // Asked for in halves: the client's own quarters cost the server twice as many requests.
    const threshold_messages = Math.floor(max_messages / 2)
    this.messages = await consumer.consume({ max_messages, threshold_messages, idle_heartbeat: HEARTBEAT })
    if (this.closed) await this.end()
    return num_pending
  }

  private async run(): Promise<void> {
    for (let failures = 0; !this.closed;) {
      try {
        if (this.messages === undefined) await this.begin()
        for await (const message of this.messages ?? []) {
          if (this.closed) return
          this.last = message.seq
          const wait = this.onMessage(message)
          this.read = message.info
          if (--this.left === 0 || this.read.pending === 0) this.arrived()
          if (wait !== undefined) await wait
          failures = 0
        }
      } catch (error) {
        if (this.closed) return
        const fields = { stream: this.options.stream, filter: this.options.filter, err: String(error) }
        this.context.logger.warn(fields, 'cannot read from the stream: trying again')
      }
      if (this.closed) return
      if (this.context.nc.isClosed()) return this.abandon()
      await this.end()
      await sleep(pauseAfter(++failures))
    }
  }

  /** The connection is closed for good: whoever waits for what was there will not see all of it. */
  private abandon(): void {
    this.behind = false
    this.context.onReconnect.delete(this.restart)
    this.caughtUp.reject(new BrokerError(`the NATS broker was stopped while it read ${this.options.stream}`))
  }

  private arrived(): void {
    this.behind = false
    this.caughtUp.resolve()
  }

  /** What was there at first may be deleted before it is read: then no message says that it was the last. */
  private async look(): Promise<void> {
    this.looking = true
    while (this.behind) {
      await sleep(LOOK)
      const { consumer } = this
      const name = (await consumer?.info(true).catch(() => undefined))?.name
      if (name === undefined) continue
      const info = await this.context.jsm.consumers.info(this.options.stream, name).catch(() => undefined)
      if (info === undefined || info.num_pending > 0) continue
      // Nothing is on its way to us, nor here and not read, perhaps of a consumer before.
      const read = this.read?.consumer === name ? this.read.deliverySequence : 0
      const { messages } = this
      if (info.delivered.consumer_seq !== read || messages === undefined) continue
      if (messages.getReceived() === messages.getProcessed()) this.arrived()
    }
  }

  private async end(): Promise<void> {
    const { messages, consumer } = this
    this.messages = this.consumer = undefined
    await messages?.close().catch(() => {})
    await consumer?.delete().catch(() => {})
  }
}

/**
 * Reads what is in a stream now, in order, until `visit` says false. What is deleted before it comes is not waited for.
 *
 * @throws BrokerError where the broker is stopped meanwhile: what was read is not all.
 */
export async function scan(
  context: NatsContext,
  options: { readonly stream: string; readonly filter: string; readonly from?: number; readonly headersOnly?: boolean },
  visit: (message: JsMsg) => boolean | void,
): Promise<void> {
  const { from = 1, headersOnly = false } = options
  const end = Promise.withResolvers<void>()
  let ended = false
  const take = (message: JsMsg): void => {
    if (ended) return
    try {
      if (visit(message) !== false) return
      end.resolve()
    } catch (error) {
      end.reject(error)
    }
    ended = true
  }
  const where = { ...options, from: Math.max(1, from), headersOnly, ahead: headersOnly ? 500 : 50 }
  const follower = await Follower.open(context, where, take)
  try {
    await Promise.race([follower.ready(), end.promise])
  } finally {
    ended = true
    await follower.close()
  }
}
