import { pauseAfter, sleep } from '../broker/backoff.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { ambient } from '../message/causation.ts'
import { BusbarError } from '../message/errors.ts'
import { BEGINNING, type EventStorage, type Position, type ReadAllOptions } from '../store/index.ts'
import { UnreadableEventError } from './errors.ts'
import type { Reader } from './reader.ts'
import type { RecordedEvent } from './recorded-event.ts'

export interface EventSubscription {
  /** Of the last event that was handled, or passed over because nobody asked for it. A new subscription goes on `after` it. */
  readonly position: Position
  /** Resolves when no handler runs any more and none will: after `stop`, after the signal, or after an error. Never rejects. */
  readonly ended: Promise<SubscriptionEnd>
  /** Hands out no further event, and waits for the one that is being handled. In a handler abort the signal instead. */
  stop(): Promise<SubscriptionEnd>
}

export interface SubscriptionEnd {
  /** Of the last event that was handled. */
  readonly position: Position
  /** What the handler threw, or why an event could not be read; absent where it was stopped. */
  readonly error?: unknown
}

/** One after the other, in the order of the store. What it throws ends the subscription before this event. */
export type EventHandler<R> = (recorded: R) => unknown

export interface FollowerOptions {
  readonly storage: EventStorage
  readonly reader: Reader
  readonly logger: BrokerLogger
  readonly from: Omit<ReadAllOptions, 'limit'>
  readonly handler: EventHandler<RecordedEvent>
  readonly signal: AbortSignal | undefined
}

/** What a handler threw, told from what reading threw. */
class Failed extends BusbarError {
  readonly error: unknown
  constructor(error: unknown) {
    super('a handler failed')
    this.error = error
  }
}

/**
 * Reads what there is and then what comes. There is no switch between the two: it always reads on after its position, so nothing can
 * be missed or come twice. Wake-ups only say when.
 */
export class Follower implements EventSubscription {
  position: Position
  readonly ended: Promise<SubscriptionEnd>
  readonly #options: FollowerOptions
  readonly #ending = new AbortController()
  #woken = false
  #wake: () => void = () => {}
  #finish: (end: SubscriptionEnd) => void = () => {}

  constructor(options: FollowerOptions) {
    this.#options = options
    this.position = options.from.after ?? BEGINNING
    this.ended = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  /** Resolves when it hears of new events; reading goes on by itself. */
  async start(): Promise<void> {
    const { storage, signal } = this.#options
    const end = await storage.listen(() => this.#hear())
    const onAbort = (): void => this.#end()
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted === true) this.#end()
    void this.#follow().then(async (failed) => {
      signal?.removeEventListener('abort', onAbort)
      this.#ending.abort()
      await end().catch((error: unknown) => this.#tell('warn', error, 'an event subscription went on listening'))
      if (failed !== undefined) this.#tell('error', failed.error, 'an event subscription ended')
      this.#finish({ position: this.position, ...(failed === undefined ? {} : { error: failed.error }) })
    })
  }

  stop(): Promise<SubscriptionEnd> {
    this.#end()
    return this.ended
  }

  #end(): void {
    this.#ending.abort()
    this.#wake()
  }

  #hear(): void {
    this.#woken = true
    this.#wake()
  }

  /** A server that cannot be reached is tried again; a handler that throws and an event that cannot be read are the end. */
  async #follow(): Promise<Failed | undefined> {
    let failures = 0
    while (!this.#ending.signal.aborted) {
      this.#woken = false
      try {
        await this.#pass()
        failures = 0
        await this.#more()
      } catch (error) {
        if (error instanceof Failed) return error
        if (error instanceof UnreadableEventError) return new Failed(error)
        if (++failures === 1) this.#tell('warn', error, 'an event subscription cannot read; it tries again')
        await sleep(pauseAfter(failures), this.#ending.signal).catch(() => {})
      }
    }
    return undefined
  }

  /** Everything that there is now. */
  async #pass(): Promise<void> {
    const { storage, reader, from, handler } = this.#options
    const filtered = from.types !== undefined || from.categories !== undefined
    // Asked before: what is up to here and was not handed out was not asked for, and need not be looked at again.
    const passed = filtered ? (await storage.head()).position : BEGINNING
    for await (const recorded of reader.read(storage.readAll({ ...from, after: this.position }))) {
      if (this.#ending.signal.aborted) return
      try {
        await ambient.run(recorded.event, handler, recorded)
      } catch (error) {
        throw new Failed(error)
      }
      this.position = recorded.position
    }
    if (passed > this.position) this.position = passed
  }

  async #more(): Promise<void> {
    if (this.#woken || this.#ending.signal.aborted) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = () => {}
  }

  #tell(level: 'warn' | 'error', error: unknown, text: string): void {
    this.#options.logger[level]({ err: error, position: this.position, store: this.#options.storage.name }, text)
  }
}
