import { randomUUID } from 'node:crypto'
import type { Channel, ConsumeMessage, Message } from 'amqplib'
import { BrokerError } from '../broker/index.ts'
import { sleep } from './backoff.ts'
import { look, type RabbitContext, withChannel } from './context.ts'
import { RefusedError } from './errors.ts'
import { SHELF } from './topology.ts'

/** Entries of a shelf that can be seen at once: what AMQP lets a consumer hold. */
const MOST = 65_535
/** Milliseconds to wait for another process that looks through the same shelf. */
const PATIENCE = 30_000
/** Milliseconds in which a queue that was made has a leader, and between two tries. */
const SETTLING = 2_000
const PAUSE = 20
/** Milliseconds after which a fence is what a dead process has left behind. */
const STALE_FENCE = 120_000
const FENCE = 'busbar-fence'

/** An entry as long as the shelf is held. */
export interface Entry {
  readonly received: ConsumeMessage
  /** Takes it off. */
  readonly remove: () => void
}

/**
 * A queue used as a shared list that survives everything: dead letters, and what topics and groups there are.
 *
 * Whoever looks through it takes all entries unacked, up to a fence of its own that it has put behind them, and by closing its channel puts
 * back what it did not remove, in order. The queue has a single active consumer, so those who look wait for each other, in whatever
 * process: each sees everything that was stored before, and what two redrive at once is redriven once. If the process dies in
 * between, everything is back. A stream could be read by many at once, but nothing can be taken out of it: it would grow for ever, or
 * forget letters that nobody has seen. Looking costs the transfer of the whole queue, which for dead letters is well spent.
 */
export class Shelf {
  private readonly context: RabbitContext
  private readonly queue: string
  private made = false

  constructor(context: RabbitContext, queue: string) {
    this.context = context
    this.queue = queue
  }

  /** Resolves when it is stored. */
  async put(
    content: Buffer,
    options: { readonly headers?: Record<string, unknown>; readonly contentType?: string } = {},
  ): Promise<void> {
    await this.make()
    const sent = { ...options, persistent: true, mandatory: true, messageId: randomUUID() }
    let taken: boolean
    try {
      taken = await this.send(content, sent)
    } catch (error) {
      this.made = false
      throw error
    }
    if (taken) return
    this.made = false
    throw new BrokerError(`queue ${this.queue} was deleted: it is made again with the next try`)
  }

  /** A queue that was made just now may have no leader yet: what it refuses is sent again, so that what is put later stays behind it. */
  private async send(content: Buffer, options: Parameters<RabbitContext['sender']['send']>[3]): Promise<boolean> {
    const until = performance.now() + SETTLING
    for (;;) {
      try {
        return await this.context.sender.send('', this.queue, content, options)
      } catch (error) {
        if (!(error instanceof RefusedError) || performance.now() > until) throw error
        await sleep(PAUSE)
      }
    }
  }

  async make(): Promise<void> {
    if (this.made) return
    const options = { durable: true, arguments: { ...SHELF } }
    await withChannel(this.context, `make queue ${this.queue}`, (channel) => channel.assertQueue(this.queue, options))
    this.made = true
  }

  /** Entries on it, without looking at each. */
  async size(): Promise<number> {
    return (await look(this.context, this.queue))?.messages ?? 0
  }

  /** `see` is told of each entry, oldest first; then `act` has the shelf to itself. */
  async hold<T>(see: (entry: Entry) => void, act: () => Promise<T> | T): Promise<T> {
    if ((await look(this.context, this.queue)) === undefined) return act()
    return withChannel(this.context, `look through queue ${this.queue}`, async (channel) => {
      await this.read(channel, see)
      return act()
    })
  }

  private async read(channel: Channel, see: (entry: Entry) => void): Promise<void> {
    const nonce = randomUUID()
    const passed = Promise.withResolvers<void>()
    let seen = 0
    const receive = (received: ConsumeMessage | null): void => {
      if (received === null) return passed.reject(new BrokerError(`queue ${this.queue} was deleted`))
      const fence = received.properties.headers?.[FENCE] as string | undefined
      if (fence === undefined) see({ received, remove: () => ack(channel, received) })
      else if (fence.startsWith(nonce) || Date.now() - Number(fence.split(' ')[1]) > STALE_FENCE) ack(channel, received)
      if (fence?.startsWith(nonce) === true || ++seen >= MOST - 1) passed.resolve()
    }
    const why = new BrokerError(`another process has held queue ${this.queue} for ${PATIENCE} ms: try again`)
    const timer = setTimeout(() => passed.reject(why), PATIENCE)
    channel.on('close', () => passed.reject(new Error('the channel was closed')))
    passed.promise.catch(() => {})
    try {
      await channel.prefetch(MOST)
      await channel.consume(this.queue, receive)
      const options = { persistent: true, headers: { [FENCE]: `${nonce} ${Date.now()}` } }
      await this.context.sender.send('', this.queue, Buffer.alloc(0), options)
      await passed.promise
    } finally {
      clearTimeout(timer)
    }
  }
}

function ack(channel: Channel, received: Message): void {
  channel.ack(received)
}
