import type { ConfirmChannel, Message, Options } from 'amqplib'
import { BrokerError } from '../broker/index.ts'
import { Fifo } from '../broker/fifo.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { pauseAfter } from './backoff.ts'
import { closed } from './channels.ts'
import type { Link } from './connection.ts'
import { explain, RefusedError, SilentQueueError } from './errors.ts'

/** Milliseconds between two looks at what waits. */
const LOOK = 250
/** Messages that are written in one turn of the event loop, at whose end they leave: the server works on them while the next are written. */
const AT_ONCE = 25
/** Milliseconds that a server may take to confirm a message, however little patience there is. */
const LEAST_UNCONFIRMED = 10_000

/** One message on its way to the server. */
export interface Send {
  readonly exchange: string
  readonly key: string
  readonly content: Buffer
  readonly options: Options.Publish
  /** Told once: it is confirmed (`returned`: but no queue took it), or why it is not known to be. */
  done(error: Error | undefined, returned: boolean): void
}

interface Item {
  readonly send: Send
  readonly since: number
  /** It may have arrived. */
  sent: boolean
  /** Confirmed, refused or cut off since it was sent. */
  answered: boolean
}

/**
 * The one way of everything that is published: a channel with publisher confirms, in the order of the calls. While the server is away, takes
 * no messages or cannot keep up, messages wait, up to `patience` milliseconds. What was sent and not confirmed when the connection
 * broke is sent again, in order and before all that came after it: it may arrive twice, and never out of turn. A server that lives and does
 * not confirm is left in the same way, once it has had as long.
 */
export class Sender {
  private readonly link: Link
  private readonly patience: number
  private readonly logger: BrokerLogger
  private readonly mostUnconfirmed: number
  private readonly waiting = new Fifo<Item>()
  /** Sent and not answered, in order, and what was answered out of turn. */
  private readonly underWay = new Fifo<Item>()
  /** The first of those under way, and since when it has been that. */
  private slowest: Item | undefined
  private slowSince = 0
  /** Ids of messages that came back because no queue took them; their confirmation follows. */
  private readonly returned = new Map<string, number>()
  /** Sent on a channel that is gone, in order. */
  private readonly cut: Item[] = []
  private channel: ConfirmChannel | undefined
  private opening = false
  private failures = 0
  private full = false
  private unconfirmed = 0
  /** Written in this turn of the event loop. */
  private written = 0
  private idle: PromiseWithResolvers<void> | undefined
  private ended = false
  private timer: NodeJS.Timeout | undefined

  constructor(link: Link, patience: number, logger: BrokerLogger) {
    this.link = link
    this.patience = patience
    this.mostUnconfirmed = Math.max(LEAST_UNCONFIRMED, patience)
    this.logger = logger
    link.onUp.add(() => this.open())
    link.onUnblocked.add(() => this.pump())
  }

  async start(): Promise<void> {
    await this.takeChannel()
    this.timer = setInterval(() => this.look(), LOOK)
  }

  /** Sends now, or in its turn. */
  push(send: Send): void {
    if (this.ended) return send.done(stopped(), false)
    const item = { send, since: performance.now(), sent: false, answered: false }
    if (this.waiting.length === 0 && this.mayWrite) return this.write(item)
    this.waiting.push(item)
    if (this.channel === undefined) this.open()
  }

  /** Resolves when it is confirmed: true where a queue took it. */
  send(exchange: string, key: string, content: Buffer, options: Options.Publish): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const done = (error: Error | undefined, returned: boolean): void =>
        error === undefined ? resolve(!returned) : reject(error)
      this.push({ exchange, key, content, options, done })
    })
  }

  /**
   * Sends to a queue on a channel of its own, beside all else: the server holds up everything of a channel behind a message for a queue that
   * does not answer. Resolves when it is confirmed.
   *
   * @throws SilentQueueError where the server takes messages, and this queue has not confirmed its own within `ms` milliseconds
   */
  async sendAlone(queue: string, content: Buffer, options: Options.Publish, ms: number): Promise<void> {
    const channel = await this.link.confirmChannel()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      const why = this.link.blocked
      reject(
        why === undefined ? new SilentQueueError(queue, ms) : new BrokerError(`RabbitMQ takes no messages: ${why}`),
      )
    }, ms)
    try {
      channel.publish('', queue, content, options, (error: unknown) => {
        if (error === null || error === undefined) resolve()
        else reject(error)
      })
      await promise
    } finally {
      clearTimeout(timer)
      void closed(channel)
    }
  }

  /** Resolves when nothing waits for a confirmation any more. */
  quiet(): Promise<void> {
    if (this.unconfirmed === 0 && this.waiting.length === 0) return Promise.resolve()
    this.idle ??= Promise.withResolvers()
    return this.idle.promise
  }

  /** Nothing more is sent; what waits is refused. */
  end(): void {
    this.ended = true
    clearInterval(this.timer)
    for (const { send } of this.waiting.drain()) send.done(stopped(), false)
    this.settled()
  }

  private get mayWrite(): boolean {
    return this.channel !== undefined && !this.full && this.written < AT_ONCE && this.link.blocked === undefined
  }

  private write(item: Item): void {
    const { exchange, key, content, options } = item.send
    this.unconfirmed++
    if (this.link.gather(this.left)) this.written++
    try {
      const room = this.channel?.publish(exchange, key, content, options, (error: unknown) =>
        this.answered(item, error),
      )
      item.sent = true
      item.answered = false
      this.underWay.push(item)
      if (room === false) this.full = true
    } catch (error) {
      this.unconfirmed--
      // A channel that is closing says so by its event too. Anything else is the message's own fault: headers that do not fit.
      if ((error as Error).name === 'IllegalOperationError') return this.unwritten(item)
      item.send.done(explain(error, `publish to ${placeOf(item.send)}`), false)
      this.settled()
    }
  }

  private readonly left = (): void => {
    this.written = 0
    this.pump()
  }

  /** The channel has ended, perhaps before anybody listened to it. */
  private unwritten(item: Item): void {
    const { channel } = this
    this.cut.push(item)
    if (channel !== undefined) setImmediate(() => this.gone(channel, undefined))
    this.full = true
  }

  private answered(item: Item, error: unknown): void {
    this.unconfirmed--
    item.answered = true
    while (this.underWay.peek()?.answered === true) this.underWay.shift()
    const { send } = item
    if (error === null || error === undefined) {
      const { mandatory, messageId } = send.options
      send.done(undefined, this.returned.size > 0 && mandatory === true && this.cameBack(messageId ?? ''))
    } else if (/nack/i.test((error as Error).message)) {
      send.done(new RefusedError(placeOf(send)), false)
    } else {
      this.cut.push(item)
    }
    this.settled()
  }

  private pump(): void {
    while (this.mayWrite) {
      const next = this.waiting.shift()
      if (next === undefined) break
      this.write(next)
    }
    this.settled()
  }

  /** The channel is gone. What it had not confirmed goes again, but for what the server closed it for. */
  private resend(why: Error | undefined): void {
    const cut = this.cut.splice(0)
    const guilty = why === undefined ? [] : guiltyOf(cut, why)
    for (const { send } of guilty) send.done(explain(why, `publish to ${placeOf(send)}`), false)
    this.waiting.prepend(cut.filter((item) => !guilty.includes(item)))
    if (this.ended) this.end()
    this.expire()
  }

  private look(): void {
    this.expire()
    const head = this.underWay.peek()
    const now = performance.now()
    // While it takes nothing it confirms nothing.
    if (head !== this.slowest || this.link.blocked !== undefined) {
      this.slowest = head
      this.slowSince = now
    } else if (head !== undefined && now - this.slowSince > this.mostUnconfirmed) {
      this.slowest = undefined
      this.link.drop(`a message for ${placeOf(head.send)} was not confirmed for ${this.mostUnconfirmed} ms`)
    }
  }

  private expire(): void {
    const oldest = performance.now() - this.patience
    for (let head = this.waiting.peek(); head !== undefined && head.since < oldest; head = this.waiting.peek()) {
      this.waiting.shift()
      const { blocked } = this.link
      const why =
        blocked === undefined ? 'the server is away or does not answer' : `the server takes no messages: ${blocked}`
      const what = head.sent ? 'not confirmed; it may have arrived' : 'not published; nothing was sent'
      head.send.done(new BrokerError(`RabbitMQ: ${why} for ${this.patience} ms ('connectTimeout'): ${what}`), false)
    }
    this.settled()
  }

  private settled(): void {
    if (this.waiting.length > 0) return
    if (this.idle === undefined || this.unconfirmed > 0 || this.cut.length > 0) return
    this.idle.resolve()
    this.idle = undefined
  }

  private open(): void {
    if (this.opening || this.ended || this.channel !== undefined || !this.link.isUp) return
    this.opening = true
    void this.takeChannel()
      .then(
        () => {
          this.failures = 0
        },
        (error: unknown) => {
          if (!this.link.isUp || this.ended) return
          this.logger.error({ err: String(error) }, 'RabbitMQ: cannot open a channel to publish: trying again')
          setTimeout(() => this.open(), pauseAfter(++this.failures))
        },
      )
      .finally(() => {
        this.opening = false
        // It may have been closed again while it was being opened.
        if (this.failures === 0) this.open()
      })
  }

  private async takeChannel(): Promise<void> {
    const channel = await this.link.confirmChannel()
    let why: Error | undefined
    channel.on('drain', () => {
      this.full = false
      this.pump()
    })
    channel.on('return', ({ properties }: Message) => {
      const id = String(properties.messageId ?? '')
      this.returned.set(id, (this.returned.get(id) ?? 0) + 1)
    })
    channel.on('error', (error: Error) => {
      why = error
      this.logger.error(
        { err: explain(error, 'publish').message },
        'RabbitMQ: the server closed the channel for publishing',
      )
    })
    channel.on('close', () => this.gone(channel, why))
    this.full = false
    this.channel = channel
    this.pump()
  }

  private gone(channel: ConfirmChannel, why: Error | undefined): void {
    if (this.channel === channel) {
      this.channel = undefined
      this.returned.clear()
    }
    if (this.cut.length > 0) this.resend(why)
    this.open()
  }

  private cameBack(id: string): boolean {
    const count = this.returned.get(id) ?? 0
    if (count === 0) return false
    if (count === 1) this.returned.delete(id)
    else this.returned.set(id, count - 1)
    return true
  }
}

const stopped = (): BrokerError => new BrokerError('the RabbitMQ broker was stopped')

function placeOf({ exchange, key }: Send): string {
  return exchange === '' ? `queue ${key}` : `exchange ${exchange}`
}

/** The server closes the whole channel for one message, and names its exchange or its size. All, where it names neither. */
function guiltyOf(cut: readonly Item[], { message }: Error): readonly Item[] {
  const exchange = /exchange '([^']*)'/.exec(message)?.[1]
  const size = Number(/message size (\d+)/.exec(message)?.[1])
  const named = cut.filter(({ send }) => send.exchange === exchange || send.content.length === size)
  return named.length > 0 ? named : cut
}
