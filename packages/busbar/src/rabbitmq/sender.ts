import type { ConfirmChannel, Message, Options } from 'amqplib'
import { BrokerError } from '../broker/index.ts'
import { Fifo } from '../broker/fifo.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { pauseAfter } from './backoff.ts'
import type { Link } from './connection.ts'
import { explain } from './errors.ts'

/** One message on its way to the server. */
export interface Send {
  readonly exchange: string
  readonly key: string
  readonly content: Buffer
  readonly options: Options.Publish
  /** Told once: it is confirmed (`returned`: but no queue took it), or why it is not known to be. */
  done(error: Error | undefined, returned: boolean): void
}

/**
 * The one way of everything that is published: a channel with publisher confirms, in the order of the calls. While the
 * server is away, takes no messages or cannot keep up, what was not sent yet waits, up to `patience` milliseconds. What was sent
 * and not confirmed when the connection broke fails: nobody can know whether it arrived.
 */
export class Sender {
  private readonly link: Link
  private readonly patience: number
  private readonly logger: BrokerLogger
  private readonly waiting = new Fifo<{ readonly send: Send; readonly since: number }>()
  /** Ids of messages that came back because no queue took them; their confirmation follows. */
  private readonly returned = new Map<string, number>()
  private channel: ConfirmChannel | undefined
  private opening = false
  private failures = 0
  private full = false
  private unconfirmed = 0
  private idle: PromiseWithResolvers<void> | undefined
  private ended = false
  private timer: NodeJS.Timeout | undefined

  constructor(link: Link, patience: number, logger: BrokerLogger) {
    this.link = link
    this.patience = patience
    this.logger = logger
    link.onUp.add(() => this.open())
    link.onUnblocked.add(() => this.pump())
  }

  async start(): Promise<void> {
    await this.takeChannel()
  }

  /** Sends now, or in its turn. */
  push(send: Send): void {
    if (this.waiting.length === 0 && this.mayWrite) return this.write(send)
    this.waiting.push({ send, since: performance.now() })
    this.timer ??= setInterval(() => this.expire(), 250)
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

  /** Resolves when nothing waits for a confirmation any more. */
  quiet(): Promise<void> {
    if (this.unconfirmed === 0 && this.waiting.length === 0) return Promise.resolve()
    this.idle ??= Promise.withResolvers()
    return this.idle.promise
  }

  /** Nothing more is sent; what waits is refused. */
  end(): void {
    this.ended = true
    for (const { send } of this.waiting.drain()) send.done(new BrokerError('the RabbitMQ broker was stopped'), false)
    this.settle()
  }

  private get mayWrite(): boolean {
    return this.channel !== undefined && !this.full && this.link.blocked === undefined
  }

  private write(send: Send): void {
    const { exchange, key, content, options } = send
    const id = options.messageId
    this.unconfirmed++
    try {
      const room = this.channel?.publish(exchange, key, content, options, (error: unknown) => {
        this.unconfirmed--
        const returned = this.returned.size > 0 && options.mandatory === true && this.cameBack(id ?? '')
        send.done(error === null || error === undefined ? undefined : unknown(error), returned)
        this.settle()
      })
      if (room === false) this.full = true
    } catch (error) {
      // The channel is closing: it was not sent. Or its headers do not fit: that is the message's own fault.
      this.unconfirmed--
      send.done(explain(error, `publish to ${exchange === '' ? `queue ${key}` : `exchange ${exchange}`}`), false)
      this.settle()
    }
  }

  private pump(): void {
    while (this.mayWrite) {
      const next = this.waiting.shift()
      if (next === undefined) break
      this.write(next.send)
    }
    if (this.waiting.length === 0) this.stopTimer()
  }

  private expire(): void {
    const oldest = performance.now() - this.patience
    for (let head = this.waiting.peek(); head !== undefined && head.since < oldest; head = this.waiting.peek()) {
      this.waiting.shift()
      const why =
        this.link.blocked === undefined ? 'the server is away' : `the server takes no messages: ${this.link.blocked}`
      head.send.done(
        new BrokerError(`not published within ${this.patience} ms ('connectTimeout'): ${why}; nothing was sent`),
        false,
      )
    }
    if (this.waiting.length === 0) this.stopTimer()
    this.settle()
  }

  private stopTimer(): void {
    clearInterval(this.timer)
    this.timer = undefined
  }

  private settle(): void {
    if (this.waiting.length === 0) this.stopTimer()
    if (this.idle === undefined || this.unconfirmed > 0 || this.waiting.length > 0) return
    this.idle.resolve()
    this.idle = undefined
  }

  private open(): void {
    if (this.opening || this.ended || this.channel !== undefined || !this.link.isUp) return
    this.opening = true
    this.takeChannel()
      .then(() => {
        this.failures = 0
      })
      .catch((error: unknown) => {
        if (!this.link.isUp || this.ended) return
        this.logger.error({ err: String(error) }, 'RabbitMQ: cannot open a channel to publish: trying again')
        setTimeout(() => this.open(), pauseAfter(++this.failures))
      })
      .finally(() => {
        this.opening = false
        if (this.channel === undefined && this.waiting.length > 0 && this.failures === 0) this.open()
      })
  }

  private async takeChannel(): Promise<void> {
    const channel = await this.link.confirmChannel()
    channel.on('drain', () => {
      this.full = false
      this.pump()
    })
    channel.on('return', ({ properties }: Message) => {
      const id = String(properties.messageId ?? '')
      this.returned.set(id, (this.returned.get(id) ?? 0) + 1)
    })
    channel.on('error', (error: Error) =>
      this.logger.error({ err: error.message }, 'RabbitMQ: the server closed the channel for publishing'),
    )
    channel.on('close', () => {
      if (this.channel !== channel) return
      this.channel = undefined
      this.returned.clear()
      this.open()
    })
    this.full = false
    this.channel = channel
    this.pump()
  }

  private cameBack(id: string): boolean {
    const count = this.returned.get(id) ?? 0
    if (count === 0) return false
    if (count === 1) this.returned.delete(id)
    else this.returned.set(id, count - 1)
    return true
  }
}

function unknown(error: unknown): Error {
  const reason = error instanceof Error ? error.message : String(error)
  if (/nack/i.test(reason))
    return new BrokerError(`RabbitMQ refused the message (a full or stopped queue): ${reason}`, { cause: error })
  return new BrokerError(
    `the connection to RabbitMQ broke before the confirmation came: it may have arrived, or not (${reason})`,
    {
      cause: error,
    },
  )
}
