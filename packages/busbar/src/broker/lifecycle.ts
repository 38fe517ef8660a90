import { BrokerError } from './errors.ts'

/**
 * A broker's way from `start` to `stop`, as the port promises it: both may be called twice and at once, a start that failed may be
 * tried again, and nothing works before the one or after the other.
 *
 * `Running` is what a broker has only while it runs.
 */
export class Lifecycle<Running> {
  readonly #what: string
  readonly #ending = new AbortController()
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #running: Running | undefined

  /** @param what For errors: `the Kafka broker of orders`. */
  constructor(what: string) {
    this.#what = what
  }

  /** @param open Its signal is aborted by `stop`: a start that still waits for its server must end then. */
  start(open: (ending: AbortSignal) => Promise<Running>): Promise<void> {
    if (this.#stopping !== undefined) return Promise.reject(this.#notRunning())
    this.#starting ??= open(this.#ending.signal).then(
      (running) => {
        this.#running = running
      },
      (error: unknown) => {
        this.#starting = undefined
        throw error
      },
    )
    return this.#starting
  }

  /** @param close Called once, after the start has ended; without what runs where nothing does. */
  stop(close: (running: Running | undefined) => Promise<void>): Promise<void> {
    this.#stopping ??= this.#stop(close)
    return this.#stopping
  }

  /** @throws BrokerError where it was not started or was stopped. */
  get running(): Running {
    if (this.#running === undefined || this.#stopping !== undefined) throw this.#notRunning()
    return this.#running
  }

  /** The same without the question whether it is being stopped. */
  get opened(): Running | undefined {
    return this.#running
  }

  async #stop(close: (running: Running | undefined) => Promise<void>): Promise<void> {
    this.#ending.abort(this.#stopped())
    await this.#starting?.catch(() => {})
    await close(this.#running)
  }

  #notRunning(): BrokerError {
    if (this.#stopping !== undefined) return this.#stopped()
    return new BrokerError(`${this.#what} was not started: call start() first`)
  }

  #stopped(): BrokerError {
    return new BrokerError(`${this.#what} was stopped; make another one`)
  }
}
