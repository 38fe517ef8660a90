import type { Broker, BrokerSubscription, Delivery, Outgoing, Verdict } from '../broker/index.ts'
import { UnsupportedError } from '../broker/index.ts'
import { pauseAfter, sleep } from '../broker/backoff.ts'
import { Fifo } from '../broker/fifo.ts'
import { standardErrorLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'
import { JsonCodec } from '../message/json-codec.ts'
import { type EncodedMessage, Snapshot } from '../message/message.ts'
import { Held } from './held.ts'
import { byLine, isForGood, isOurs, type Item, RELEASE, settleAll } from './item.ts'
import type { BridgeOptions, BridgeStats } from './options.ts'
import { isolate, send } from './sending.ts'

/** Names of the bridges that a message came over, separated by blanks. */
const CAME_OVER = 'bridges'

const ACK: Verdict = { ack: true }

/**
 * Moves what one broker keeps to another.
 *
 * - Ids stay, and so does the order of a key: one publish at a time, in the order in which `from` hands out, and what was not
 *   confirmed goes again before anything of its key that came after it.
 * - What `to` refuses for a while holds up its own key and no other: it is tried again by itself, after longer and longer pauses.
 * - Nothing is acked at `from` before `to` has confirmed it, so nothing is lost, whenever a bridge is killed.
 * - Bridges of one name share partitions, never messages: each message is moved once while they live. What one had on its
 *   way when it was killed may come twice (with its id, and before anything newer of its key).
 * - What `to` can never take (too large, or a thing that it cannot do) becomes a dead letter at `from`, and the rest goes on.
 */
export class Bridge {
  readonly name: string
  readonly #options: Required<Pick<BridgeOptions, 'prefetch' | 'batch' | 'codec' | 'logger'>> & BridgeOptions
  readonly #queue = new Fifo<Item>()
  readonly #held: Held
  /** No pause any more: what has failed is given back. */
  readonly #ending = new AbortController()
  /** Nothing is sent any more. */
  readonly #stopping = new AbortController()
  readonly #stats = { moved: 0, skipped: 0, refused: 0 }
  #subscription: BrokerSubscription | undefined
  #waiting = 0
  #pumping = false
  /** Batches in a row that failed as a whole. */
  #failures = 0
  #failing: string | undefined

  constructor(options: BridgeOptions) {
    const { topics, name = 'bridge', prefetch = 1_000, batch = 500 } = options
    const { codec = new JsonCodec(), logger = standardErrorLogger } = options
    if (topics.length === 0) throw new ConfigurationError(`bridge '${name}': name at least one topic`)
    if (!/^\S+$/.test(name)) throw new ConfigurationError(`bridge '${name}': the name must be a text without blanks`)
    for (const [field, value] of Object.entries({ prefetch, batch })) {
      if (Number.isSafeInteger(value) && value >= 1) continue
      throw new ConfigurationError(`bridge '${name}': ${field} must be a whole number from 1, not ${value}`)
    }
    this.name = name
    this.#options = { ...options, prefetch, batch, codec, logger }
    this.#held = new Held({
      batch,
      attempt: (items) => this.#attempt(items),
      failed: (items, error, attempts) => this.#failed(items, error, attempts),
    })
  }

  /** Its group at `from`. */
  get group(): string {
    return `bridge.${this.name}`
  }

  get to(): Broker {
    return this.#options.to
  }

  /** Resolves once it reads. */
  async start(): Promise<void> {
    const { from, topics, prefetch, start = from.capabilities.replay ? 'earliest' : 'latest' } = this.#options
    if (!from.capabilities.groups) {
      throw new UnsupportedError(`bridge '${this.name}': ${from.name} has no groups, so it would keep no checkpoint`)
    }
    const spec = { group: this.group, topics, broadcast: false, prefetch, from: start } as const
    this.#subscription = await from.subscribe({ ...spec, onFailure: 'continue' }, (delivery) => this.#take(delivery))
  }

  /**
   * Reads nothing more; resolves when what is on its way is confirmed or `deadline` milliseconds (default 10 000) have
   * passed. The rest, and what was refused, goes to the next bridge of the name. Neither broker is stopped.
   */
  async stop({ deadline = 10_000 }: { readonly deadline?: number } = {}): Promise<void> {
    const timer = setTimeout(() => this.#stopping.abort(), deadline)
    this.#ending.abort()
    this.#held.end()
    try {
      await this.#subscription?.stop({ deadline })
    } finally {
      clearTimeout(timer)
      this.#stopping.abort()
    }
  }

  stats(): BridgeStats {
    const failing = this.#failing
    const held = this.#held.size
    return {
      ...this.#stats,
      waiting: this.#waiting,
      ...(held === 0 ? {} : { held }),
      ...(failing === undefined ? {} : { failing }),
    }
  }

  #take(delivery: Delivery): Verdict | Promise<Verdict> {
    let outgoing: Outgoing | undefined
    try {
      outgoing = this.outgoing(delivery)
    } catch (error) {
      return this.#refusal(delivery, error instanceof Error ? error : new Error(String(error)))
    }
    if (outgoing === undefined) {
      this.#stats.skipped++
      return ACK
    }
    this.#waiting++
    return new Promise<Verdict>((resolve) => {
      const settle = (verdict: Verdict): void => {
        this.#waiting--
        resolve(verdict)
      }
      this.#queue.push({ delivery, outgoing, settle })
      if (this.#pumping) return
      this.#pumping = true
      // What is handed out in this turn leaves together.
      setImmediate(() => void this.#pump())
    })
  }

  async #pump(): Promise<void> {
    while (this.#queue.length > 0) {
      const items: Item[] = []
      while (items.length < this.#options.batch) {
        const item = this.#queue.shift()
        if (item === undefined) break
        if (!this.#held.takes(item) && isOurs(item)) items.push(item)
      }
      if (items.length > 0) await this.#move(items)
    }
    this.#pumping = false
  }

  /** Publishes some of different keys. What fails is held, or tried again before all others where nobody is to blame. */
  async #move(items: readonly Item[]): Promise<void> {
    if (this.#stopping.signal.aborted) return settleAll(items, RELEASE)
    const { to } = this.#options
    // A second failure in a row may be because of some of them.
    const isolating = this.#failures > 0
    const { failures, untried, whole } = isolating
      ? { ...(await isolate(to, items, (done) => this.#confirmAll(done))), whole: false }
      : { untried: [], ...(await send(to, items)) }
    if (!isolating) this.#confirmAll(items.filter((item) => !failures.has(item)))
    const failed = this.#lasting(failures)
    if (untried.length === 0 && !whole) this.#failures = 0
    if (!whole) for (const line of byLine(items.filter((item) => failed.has(item)))) this.#hold(line, failed)
    const again = whole ? items.filter((item) => failed.has(item)) : untried
    if (again.length === 0) {
      if (this.#held.size === 0) this.#failing = undefined
      return
    }
    this.#failures++
    const [error = new Error(this.#failing)] = failures.values()
    this.#failed(again, error, this.#failures)
    await sleep(pauseAfter(this.#failures), this.#ending.signal).catch(() => {})
    if (this.#ending.signal.aborted) settleAll(again, RELEASE)
    else this.#queue.prepend(again)
  }

  #hold(line: readonly Item[], failed: ReadonlyMap<Item, Error>): void {
    const [first] = line
    const error = first === undefined ? undefined : failed.get(first)
    if (error === undefined) return
    if (this.#ending.signal.aborted) settleAll(line, RELEASE)
    else this.#held.hold(line, error)
  }

  /** Some of a key that is held. */
  async #attempt(items: readonly Item[]): Promise<ReadonlyMap<Item, Error>> {
    const { failures } = await send(this.#options.to, items)
    this.#confirmAll(items.filter((item) => !failures.has(item)))
    if (failures.size === 0 && this.#held.size <= 1 && this.#failures === 0) this.#failing = undefined
    return this.#lasting(failures)
  }

  /** Without what is refused for good, which is settled. */
  #lasting(failures: ReadonlyMap<Item, Error>): ReadonlyMap<Item, Error> {
    return new Map([...failures].filter(([item, error]) => !this.#refusedForGood(item, error)))
  }

  #failed(items: readonly Item[], error: Error, attempts: number): void {
    const { to, logger } = this.#options
    this.#failing = error.message
    const told = { bridge: this.name, to: to.name, attempt: attempts, messages: items.length, error: error.message }
    logger.warn(told, `bridge '${this.name}': ${to.name} did not confirm ${items.length} messages; trying again`)
  }

  #confirmAll(items: readonly Item[]): void {
    for (const { settle } of items) {
      this.#stats.moved++
      settle(ACK)
    }
  }

  #refusedForGood({ delivery, settle }: Item, error: Error): boolean {
    if (!isForGood(error) || !this.#options.from.capabilities.deadLetters) return false
    settle(this.#refusal(delivery, error))
    return true
  }

  #refusal({ attempts, firstFailedAt }: Delivery, { name, message }: Error): Verdict {
    this.#stats.refused++
    const now = Date.now()
    const handler = `bridge '${this.name}' to ${this.#options.to.name}`
    const failure = { reason: 'failed', error: { name, message }, handler, attempts: attempts + 1 } as const
    return { deadLetter: { ...failure, firstFailedAt: firstFailedAt ?? now, lastFailedAt: now } }
  }

  /** What `to` is to be given; undefined for what is passed over. */
  protected outgoing({ message, topic }: Delivery): Outgoing | undefined {
    const { only, topic: renamed } = this.#options
    if (cameOver(message).includes(this.name) || only?.(message, topic) === false) return undefined
    return { topic: renamed?.(topic) ?? topic, message: this.#marked(message) }
  }

  #marked(message: EncodedMessage): EncodedMessage {
    const { codec } = this.#options
    const { body, metadata } = message
    const bridges = [...cameOver(message), this.name].join(' ')
    const marked = { ...message, metadata: { ...metadata, [CAME_OVER]: bridges } }
    if (!(body instanceof Snapshot) || this.#options.to.capabilities.inProcess) return marked
    return { ...marked, body: codec.encode(body.value), contentType: codec.contentType }
  }
}

/** Starts a bridge; see `Bridge`. */
export async function bridge(options: BridgeOptions): Promise<Bridge> {
  const made = new Bridge(options)
  await made.start()
  return made
}

function cameOver({ metadata }: EncodedMessage): readonly string[] {
  return metadata[CAME_OVER]?.split(' ') ?? []
}
