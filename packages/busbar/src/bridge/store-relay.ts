import { setTimeout as sleep } from 'node:timers/promises'
import { pauseAfter } from '../broker/backoff.ts'
import { type Broker, type Outgoing, PublishError } from '../broker/index.ts'
import { type BrokerLogger, standardErrorLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'
import { uuidv7 } from '../message/uuid.ts'
import type { Claim, EventStorage, StoredEvent } from '../store/index.ts'
import { isForGood } from './item.ts'
import { checkpointOf, isForOthers } from './unrelayed.ts'

export interface StoreRelayOptions {
  /** Read behind a checkpoint that is kept in it. The caller starts and stops it. */
  readonly from: EventStorage
  /** Written to. The caller starts and stops it. */
  readonly to: Broker
  /** Relays of one name take turns, in one process or many. Default `relay`. */
  readonly name?: string
  /** Most events of one publish, and so most that are sent twice after a kill -9. Default 500. */
  readonly batch?: number
  /** Milliseconds after which another relay takes over from one that gave no sign of life. Default 10 000. */
  readonly lease?: number
  /** Milliseconds between two looks where nothing says that something came. Default 500. */
  readonly pollInterval?: number
  /** What is published. Default: all but what Busbar keeps for itself, on topics that begin with `busbar.` (snapshots). */
  readonly only?: (event: StoredEvent) => boolean
  /** Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

export interface StoreRelayStats {
  /** Confirmed by `to`, moved by this process. */
  readonly moved: number
  /** Passed over because `to` can never take them; they are in the store. */
  readonly refused: number
  /** This process is the one that moves. */
  readonly active: boolean
  /** Why the last attempt failed; absent once one has succeeded. */
  readonly failing?: string
}

/**
 * Publishes what an event store keeps to a broker, in the order of the store: store first, relay after. Nothing is published that was not
 * stored, and the checkpoint moves only behind what is confirmed, so nothing is lost whoever is killed; what was on its way then comes
 * twice, with its id.
 */
export class StoreRelay {
  readonly name: string
  readonly #options: Required<StoreRelayOptions>
  readonly #owner = uuidv7()
  readonly #stopping = new AbortController()
  readonly #stats: { moved: number; refused: number } = { moved: 0, refused: 0 }
  #failing: string | undefined
  #claim: Claim | undefined
  #claimedAt = -Infinity
  #wake: () => void = () => {}
  #unlisten: (() => Promise<void>) | undefined
  #running: Promise<void> | undefined

  /** @throws ConfigurationError */
  constructor(options: StoreRelayOptions) {
    const { name = 'relay', batch = 500, lease = 10_000, pollInterval = 500, logger = standardErrorLogger } = options
    if (!/^\S+$/.test(name)) throw new ConfigurationError(`relay '${name}': the name must be a text without blanks`)
    for (const [field, value] of Object.entries({ batch, lease, pollInterval })) {
      if (Number.isSafeInteger(value) && value >= 1) continue
      throw new ConfigurationError(`relay '${name}': ${field} must be a whole number from 1, not ${value}`)
    }
    this.name = name
    this.#options = { ...options, name, batch, lease, pollInterval, logger, only: options.only ?? isForOthers }
  }

  /** Resolves once it is at work, or waits for its turn. */
  async start(): Promise<void> {
    this.#unlisten = await this.#options.from.listen(() => this.#wake())
    this.#running ??= this.#run()
  }

  /** Ends after the publish that is under way, or after so many milliseconds (default 10 000). */
  async stop({ deadline = 10_000 }: { readonly deadline?: number } = {}): Promise<void> {
    this.#stopping.abort()
    this.#wake()
    const late = new AbortController()
    await Promise.race([this.#running, sleep(deadline, undefined, { signal: late.signal }).catch(() => {})])
    late.abort()
    await this.#unlisten?.()
  }

  stats(): StoreRelayStats {
    const failing = this.#failing
    return { ...this.#stats, active: this.#claim !== undefined, ...(failing === undefined ? {} : { failing }) }
  }

  async #run(): Promise<void> {
    const { from, lease, pollInterval, batch, logger } = this.#options
    for (let failures = 0; !this.#stopping.signal.aborted;) {
      try {
        if (!(await this.#claimed())) {
          await this.#pause(Math.min(pollInterval, lease / 3))
          continue
        }
        const events: StoredEvent[] = []
        const after = (this.#claim as Claim).position
        for await (const event of from.readAll({ after, limit: batch })) events.push(event)
        if (events.length > 0) await this.#move(events)
        failures = 0
        if (events.length < batch) await this.#pause(pollInterval)
      } catch (error) {
        this.#failed(error)
        logger.warn({ relay: this.name, err: String(error) }, `relay '${this.name}': trying again`)
        await this.#pause(pauseAfter(++failures))
      }
    }
    if (this.#claim !== undefined) await from.checkpoints.release(this.#claim).catch(() => {})
    this.#claim = undefined
  }

  async #claimed(): Promise<boolean> {
    const { from, name, lease } = this.#options
    const at = performance.now()
    this.#claim = await from.checkpoints.claim(checkpointOf(name), this.#owner, lease)
    this.#claimedAt = at
    return this.#claim !== undefined
  }

  /** In order, until each is confirmed or refused for good; then the checkpoint goes behind them. */
  async #move(events: readonly StoredEvent[]): Promise<void> {
    const { from, to, lease, logger, only } = this.#options
    let left: readonly StoredEvent[] = events.filter(only)
    for (let failures = 1; left.length > 0; failures++) {
      // Whoever may have taken over meanwhile has sent these: after what that one sends they would come out of order.
      if (performance.now() - this.#claimedAt > lease / 2 && !(await this.#claimed())) return
      const done = (this.#claim as Claim).position
      left = await this.#publish(left.filter(({ position }) => position > done))
      if (left.length === 0) break
      logger.warn(
        { relay: this.name, to: to.name, events: left.length, err: this.#failing },
        `relay '${this.name}': ${to.name} did not confirm ${left.length} events; trying again`,
      )
      if (this.#stopping.signal.aborted) return
      await this.#pause(pauseAfter(failures))
    }
    this.#failing = undefined
    const position = events.at(-1)?.position ?? ''
    if (this.#claim === undefined || !(await from.checkpoints.advance(this.#claim, position))) this.#claim = undefined
  }

  /** What is left to be sent, in order. */
  async #publish(events: readonly StoredEvent[]): Promise<readonly StoredEvent[]> {
    const { to } = this.#options
    try {
      await to.publish(events.map(outgoingOf))
      this.#stats.moved += events.length
      return []
    } catch (error) {
      this.#failed(error)
      if (error instanceof PublishError) {
        const failed = new Map(error.failed.map((one) => [one.index, one.error]))
        this.#stats.moved += events.length - failed.size
        return events.filter((event, index) => {
          const reason = failed.get(index)
          return reason !== undefined && !this.#isRefused(event, reason)
        })
      }
      const reason = error instanceof Error ? error : new Error(String(error))
      if (!isForGood(reason)) return events
      // Nothing of the batch was sent because of some of them.
      const [only] = events
      if (events.length === 1 && only !== undefined) return this.#isRefused(only, reason) ? [] : events
      return this.#oneByOne(events)
    }
  }

  async #oneByOne(events: readonly StoredEvent[]): Promise<readonly StoredEvent[]> {
    for (const [index, event] of events.entries()) {
      if ((await this.#publish([event])).length > 0) return events.slice(index)
    }
    return []
  }

  #isRefused({ message, stream, revision }: StoredEvent, reason: Error): boolean {
    if (!isForGood(reason)) return false
    this.#stats.refused++
    const { logger, to } = this.#options
    logger.error(
      { relay: this.name, to: to.name, id: message.id, type: message.type, stream, revision, err: String(reason) },
      `relay '${this.name}': ${to.name} can never take ${message.type} ${message.id}; it stays in the store`,
    )
    return true
  }

  #failed(error: unknown): void {
    this.#failing = error instanceof Error ? error.message : String(error)
  }

  #pause(milliseconds: number): Promise<void> {
    if (this.#stopping.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#wake = () => {}
        resolve()
      }
      const timer = setTimeout(done, milliseconds)
      this.#wake = done
    })
  }
}

function outgoingOf({ topic, message }: StoredEvent): Outgoing {
  return { topic, message }
}
