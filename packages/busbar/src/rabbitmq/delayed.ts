import type { Channel, ConsumeMessage, Message } from 'amqplib'
import { dueOf } from './again.ts'
import { pauseAfter, sleep } from './backoff.ts'
import { closed } from './channels.ts'
import type { RabbitContext } from './context.ts'
import { explain } from './errors.ts'

/** Messages of one queue whose time is known; those behind them wait until some of these have gone. At most 65,535. */
const MOST = 50_000
/** Milliseconds that timers can hold. */
const LONGEST = 2 ** 31 - 1
/** Milliseconds after which messages in hand are taken anew, before the server's consumer_timeout (30 minutes) ends the channel. */
const REFRESH = 10 * 60_000

interface Waiting {
  readonly tag: number
  readonly due: number
}

/**
 * Keeps what has to come later until its time, for one queue. One process at a time has the queue (single active consumer); it takes the
 * messages unacked, remembers only when each is due, and rejects each at its time: the server then hands it on through the queue's
 * dead-letter exchange, at least once and under its own routing key. If the process dies, the next one takes them again.
 *
 * Why not by TTL: a queue's messages expire only at its head, so each delay needs a queue of its own, or a cascade of some twenty
 * quorum queues in which nobody could count what waits for which group. This way it is one queue, a message is never early
 * and late by milliseconds. The price: it takes a live process of this deployment to move a message that is due.
 */
export class DelayedQueue {
  readonly queue: string
  private readonly context: RabbitContext
  private channel: Channel | undefined
  /** The earliest first. */
  private waiting: Waiting[] = []
  private timer: NodeJS.Timeout | undefined
  private ended = false
  private since = 0
  private failures = 0

  constructor(context: RabbitContext, queue: string) {
    this.context = context
    this.queue = queue
  }

  /** In the memory of this process. */
  get count(): number {
    return this.waiting.length
  }

  /** Resolves when it consumes, or has begun to try again. */
  async start(): Promise<void> {
    if (this.ended) return
    let channel: Channel | undefined
    try {
      const opened = await this.context.consuming.channel()
      channel = opened
      if (this.ended) return await closed(channel)
      let why: Error | undefined
      channel.on('error', (error: Error) => {
        why = error
      })
      channel.on('close', () => void this.restart(opened, why))
      this.channel = channel
      this.since = performance.now()
      await channel.prefetch(MOST)
      await channel.consume(this.queue, (received) => this.receive(opened, received))
      this.failures = 0
    } catch (error) {
      // Where the channel has told its end itself, it is made again already: two of them would stand in each other's way.
      void this.restart(channel, error)
    }
  }

  async stop(): Promise<void> {
    this.ended = true
    const { channel } = this
    this.clear()
    await closed(channel)
  }

  private clear(): void {
    this.channel = undefined
    this.waiting = []
    clearTimeout(this.timer)
    this.timer = undefined
  }

  private async restart(channel: Channel | undefined, why: unknown): Promise<void> {
    if (this.channel !== channel || this.ended) return
    this.clear()
    void closed(channel)
    if (this.context.consuming.isUp && why !== undefined) {
      this.context.logger.error(
        { err: explain(why, `consume from queue ${this.queue}`).message },
        'RabbitMQ: trying again',
      )
    }
    await sleep(pauseAfter(++this.failures))
    await this.context.consuming.ready().then(
      () => this.start(),
      () => {},
    )
  }

  private receive(channel: Channel, received: ConsumeMessage | null): void {
    if (channel !== this.channel) return
    if (received === null) {
      channel.close().catch(() => {})
      return
    }
    const tag = received.fields.deliveryTag
    const due = dueOf(received)
    if (due <= Date.now()) return this.handOn(tag)
    // Mostly the same delay for all, so a new one is mostly the last.
    let at = this.waiting.length
    while (at > 0 && (this.waiting[at - 1] as Waiting).due > due) at--
    this.waiting.splice(at, 0, { tag, due })
    if (at === 0) this.schedule()
  }

  private schedule(): void {
    clearTimeout(this.timer)
    const [next] = this.waiting
    if (next === undefined) return
    const refresh = Math.max(1_000, REFRESH - (performance.now() - this.since))
    this.timer = setTimeout(this.work, Math.min(LONGEST, refresh, Math.max(1, next.due - Date.now())))
  }

  private readonly work = (): void => {
    const now = Date.now()
    const still = this.waiting.findIndex(({ due }) => due > now)
    for (const { tag } of this.waiting.splice(0, still < 0 ? this.waiting.length : still)) this.handOn(tag)
    // Closed, they go back to the queue and come again.
    if (performance.now() - this.since > REFRESH && this.waiting.length > 0)
      return void this.channel?.close().catch(() => {})
    this.schedule()
  }

  private handOn(deliveryTag: number): void {
    try {
      this.channel?.reject({ fields: { deliveryTag } } as Message, false)
    } catch {
      // The channel is closed: it comes again.
    }
  }
}
