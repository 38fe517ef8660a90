import type { Msg, MsgHdrs, NatsConnection, Subscription } from '@nats-io/transport-node'
import { BrokerError } from '../broker/index.ts'
import { sleep } from './backoff.ts'
import { explain } from './errors.ts'

/** The server's word that a message is stored. */
export interface Confirmed {
  readonly seq: number
  /** It was stored before, with the same message id. */
  readonly duplicate: boolean
}

/** Told once what became of a message: the server's word, or why there is none. */
export type Told = (result: Confirmed | Error) => void

/** Writes a message. Asked again where it is sent again: what is kept until then is the message and not its headers. */
export type Write = () => { readonly data: string | Uint8Array; readonly headers: MsgHdrs }

interface Pending {
  readonly subject: string
  readonly write: Write
  readonly told: Told
  /** Milliseconds of `performance.now()`. */
  readonly giveUpAt: number
  againAt: number
  /** Why the last try failed. */
  reason: string
}

export interface ConfirmationOptions {
  /** Milliseconds without an answer after which a message is sent again. */
  readonly requestTimeout: number
  /** Milliseconds after which its publisher is told that it was not confirmed. */
  readonly publishTimeout: number
}

/** The store of a stream refuses: a limit is reached. */
const STORE_FAILED = 10077
/** Milliseconds between two looks at what is not confirmed. */
const LOOK = 100

/**
 * Sends messages to streams and waits for the word of the server that they are stored. What is not confirmed is sent again, after a
 * reconnect all of it at once and in its order; the server knows by the message id what it has already.
 *
 * One subscription takes all answers: a request of the client for each costs several times as much.
 */
export class Confirmations {
  private readonly nc: NatsConnection
  private readonly options: ConfirmationOptions
  private readonly inbox: string
  private readonly answers: Subscription
  /** In the order of sending. */
  private readonly pending = new Map<string, Pending>()
  private next = 0
  private connected = true
  private timer: NodeJS.Timeout | undefined

  /** @param inbox A subject of its own, below which the answers come. */
  constructor(nc: NatsConnection, inbox: string, options: ConfirmationOptions) {
    this.nc = nc
    this.options = options
    this.inbox = `${inbox}.`
    this.answers = nc.subscribe(`${inbox}.*`, { callback: (error, message) => this.answered(error, message) })
    void nc.closed().then(() => this.close())
  }

  /** The headers must name a message id or an expected sequence, else what is sent again is stored again. */
  send(subject: string, data: string | Uint8Array, headers: MsgHdrs): Promise<Confirmed> {
    return new Promise((resolve, reject) => {
      const told = (result: Confirmed | Error): void => (result instanceof Error ? reject(result) : resolve(result))
      this.post(subject, () => ({ data, headers }), told)
    })
  }

  /** The same without a promise, for batches. */
  post(subject: string, write: Write, told: Told): void {
    const now = performance.now()
    const { requestTimeout, publishTimeout } = this.options
    const giveUpAt = now + publishTimeout
    const one = { subject, write, told, giveUpAt, againAt: now + requestTimeout, reason: 'no answer' }
    const token = String(this.next++)
    this.pending.set(token, one)
    this.timer ??= setInterval(() => this.look(), LOOK)
    this.transmit(token, one)
  }

  disconnected(): void {
    this.connected = false
    void this.probe()
  }

  /** In order, before anything newer: what the server has of it already it tells from the ids. */
  reconnected(): void {
    this.connected = true
    const againAt = performance.now() + this.options.requestTimeout
    for (const [token, one] of this.pending) {
      one.againAt = againAt
      this.transmit(token, one)
    }
  }

  /** An error of the connection; nobody answers a message that its sender may not send. */
  refused(error: Error): void {
    const { subject } = error as { subject?: string }
    if (error.name !== 'PermissionViolationError') return
    for (const [token, one] of this.pending) {
      if (one.subject === subject) this.fail(token, one, explain(error, 'publish'))
    }
  }

  /** What is not confirmed is given up. */
  close(): void {
    this.answers.unsubscribe()
    for (const [token, one] of this.pending) this.fail(token, one, new BrokerError('the NATS broker was stopped'))
  }

  /** The word of a reconnect may be missing, or come before that of the cut: an answer of the server counts. */
  private async probe(): Promise<void> {
    while (!this.connected && !this.nc.isClosed()) {
      await sleep(2 * LOOK)
      const alive = await this.nc.flush().then(
        () => true,
        () => false,
      )
      if (alive && !this.connected) this.reconnected()
    }
  }

  private transmit(token: string, one: Pending): void {
    // What is sent while there is no connection may be dropped, or overtake what is sent again.
    if (!this.connected) return
    try {
      const { data, headers } = one.write()
      this.nc.publish(one.subject, data, { reply: this.inbox + token, headers })
    } catch (error) {
      this.fail(token, one, error as Error)
    }
  }

  private answered(error: Error | null, message: Msg): void {
    if (error !== null) {
      for (const [token, one] of this.pending) this.fail(token, one, explain(error, 'hear that a message is stored'))
      return
    }
    const token = message.subject.slice(this.inbox.length)
    const one = this.pending.get(token)
    if (one === undefined) return
    const answer = answerOf(message)
    if ('seq' in answer) {
      this.settled(token)
      one.told(answer)
    } else if (answer.passing) {
      one.reason = answer.error.message
      one.againAt = performance.now() + 2 * LOOK
    } else this.fail(token, one, answer.error)
  }

  private look(): void {
    const now = performance.now()
    for (const [token, one] of this.pending) {
      if (now >= one.giveUpAt) {
        const { publishTimeout } = this.options
        const text = `not confirmed by the NATS server within ${publishTimeout} ms ('publishTimeout'): ${one.reason}`
        this.fail(token, one, new BrokerError(text))
      } else if (this.connected && now >= one.againAt) {
        one.againAt = now + this.options.requestTimeout
        this.transmit(token, one)
      }
    }
  }

  private fail(token: string, one: Pending, error: Error): void {
    this.settled(token)
    one.told(error)
  }

  private settled(token: string): void {
    this.pending.delete(token)
    if (this.pending.size > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }
}

type Answer = Confirmed | { readonly error: Error; readonly passing: boolean }

function answerOf(message: Msg): Answer {
  if (message.data.length === 0 && message.headers?.code === 503) {
    return { error: new Error('no stream of the NATS server takes it at the moment'), passing: true }
  }
  const { seq, duplicate = false, error } = message.json<PubAck>()
  if (error === undefined) return { seq, duplicate }
  const refusal = Object.assign(new BrokerError(error.description), { code: error.err_code })
  // 503: the server starts, or a cluster has no leader. But a stream that is full stays so.
  return { error: refusal, passing: error.code === 503 && error.err_code !== STORE_FAILED }
}

interface PubAck {
  readonly seq: number
  readonly duplicate?: boolean
  readonly error?: { readonly code: number; readonly err_code: number; readonly description: string }
}
