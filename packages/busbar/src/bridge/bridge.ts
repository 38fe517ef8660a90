import {
  type BrokerSubscription,
  type Delivery,
  type Outgoing,
  PublishError,
  UnsupportedError,
  type Verdict,
} from '../broker/index.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { pauseAfter } from '../broker/backoff.ts'
import { Fifo } from '../broker/fifo.ts'
import { standardErrorLogger } from '../broker/logger.ts'
import { ConfigurationError, MessageTooLargeError } from '../message/errors.ts'
import { JsonCodec } from '../message/json-codec.ts'
import { type EncodedMessage, Snapshot } from '../message/message.ts'
import type { BridgeOptions, BridgeStats } from './options.ts'

/** Names of the bridges that a message came over, separated by blanks. */
const CAME_OVER = 'bridges'

interface Item {
  readonly delivery: Delivery
  readonly outgoing: Outgoing
  readonly settle: (verdict: Verdict) => void
}

const ACK: Verdict = { ack: true }
const RELEASE: Verdict = { release: true }

/**
 * Moves what one broker keeps to another.
 *
 * - Ids stay, and so does the order of a key: one publish at a time, in the order in which `from` hands out, and what was not
 *   confirmed goes again before anything that came after it.
 * - Nothing is acked at `from` before `to` has confirmed it, so nothing is lost, whenever a bridge is killed.
 * - Bridges of one name share partitions, never messages: each message is moved once while they live. What one had on its
 *   way when it was killed may come twice (with its id, and before anything newer of its key).
 * - What `to` can never take (too large, or a thing that it cannot do) becomes a dead letter at `from`, and the rest goes on.
 */
export class Bridge {
  readonly name: string
  readonly #options: Required<Pick<BridgeOptions, 'prefetch' | 'batch' | 'codec' | 'logger'>> & BridgeOptions
  readonly #queue = new Fifo<Item>()
  readonly #stopping = new AbortController()
  readonly #stats = { moved: 0, skipped: 0, refused: 0 }
  #subscription: BrokerSubscription | undefined
  #waiting = 0
  #pumping = false
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
  }

  /** Resolves once it reads. */
  async start(): Promise<void> {
    const { from, topics, prefetch, start = from.capabilities.replay ? 'earliest' : 'latest' } = this.#options
    if (!from.capabilities.groups) {
      throw new UnsupportedError(`bridge '${this.name}': ${from.name} has no groups, so it would keep no checkpoint`)
    }
    const spec = { group: `bridge.${this.name}`, topics, broadcast: false, prefetch, from: start } as const
    this.#subscription = await from.subscribe({ ...spec, onFailure: 'continue' }, (delivery) => this.#take(delivery))
  }

  /**
   * Reads nothing more; resolves when what is on its way is confirmed or `deadline` milliseconds (default 10 000) have
   * passed. The rest goes to the next bridge of the name. Neither broker is stopped.
   */
  async stop({ deadline = 10_000 }: { readonly deadline?: number } = {}): Promise<void> {
    const timer = setTimeout(() => this.#stopping.abort(), deadline)
    try {
      await this.#subscription?.stop({ deadline })
    } finally {
      clearTimeout(timer)
      this.#stopping.abort()
    }
  }

  stats(): BridgeStats {
    const failing = this.#failing
    return { ...this.#stats, waiting: this.#waiting, ...(failing === undefined ? {} : { failing }) }
  }

  #take(delivery: Delivery): Verdict | Promise<Verdict> {
    let outgoing: Outgoing | undefined
    try {
      outgoing = this.#outgoing(delivery)
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
        items.push(item)
      }
      await this.#move(items)
    }
    this.#pumping = false
  }

  /** Publishes until each of them is confirmed, refused for good or no longer ours. */
  async #move(items: readonly Item[]): Promise<void> {
    const { to, logger } = this.#options
    const { signal } = this.#stopping
    let left = items
    for (let attempt = 1; ; attempt++) {
      left = left.filter((item) => isOurs(item))
      if (left.length === 0) return
      if (signal.aborted) return settleAll(left, RELEASE)
      const failures = await this.#publish(left)
      const failed = left.filter((item) => failures.has(item))
      for (const item of left) if (!failures.has(item)) this.#confirmed(item)
      left = failed.filter((item) => !this.#refusedForGood(item, failures.get(item)))
      if (left.length === 0) {
        this.#failing = undefined
        return
      }
      this.#failing = failures.get(left[0] as Item)?.message ?? 'unknown'
      const told = { bridge: this.name, to: to.name, attempt, messages: left.length, error: this.#failing }
      logger.warn(told, `bridge '${this.name}': ${to.name} did not confirm ${left.length} messages; trying again`)
      await sleep(pauseAfter(attempt), undefined, { signal }).catch(() => {})
    }
  }

  /** What was not confirmed, with the reason. */
  async #publish(items: readonly Item[]): Promise<ReadonlyMap<Item, Error>> {
    try {
      await this.#options.to.publish(items.map(({ outgoing }) => outgoing))
      return new Map()
    } catch (error) {
      if (error instanceof PublishError) {
        return new Map(error.failed.flatMap((one) => entry(items[one.index], one.error)))
      }
      // Nothing of the batch was sent. If that is because of some of them, the others must not pay for it.
      const reason = error instanceof Error ? error : new Error(String(error))
      if (!isForGood(reason) || items.length === 1) return new Map(items.map((item) => [item, reason]))
      return await this.#oneByOne(items)
    }
  }

  /** Stops at the first that fails for a while: what is behind it may have its key. */
  async #oneByOne(items: readonly Item[]): Promise<ReadonlyMap<Item, Error>> {
    const failures = new Map<Item, Error>()
    for (const [index, item] of items.entries()) {
      const [failure] = (await this.#publish([item])).values()
      if (failure === undefined) continue
      if (!isForGood(failure)) {
        for (const later of items.slice(index)) failures.set(later, failure)
        break
      }
      failures.set(item, failure)
    }
    return failures
  }

  #confirmed({ settle }: Item): void {
    this.#stats.moved++
    settle(ACK)
  }

  #refusedForGood({ delivery, settle }: Item, error: Error | undefined): boolean {
    if (error === undefined || !isForGood(error) || !this.#options.from.capabilities.deadLetters) return false
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
  #outgoing({ message, topic }: Delivery): Outgoing | undefined {
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

/** What may have gone to another bridge meanwhile is not sent: it would come after what that one sends. */
function isOurs({ delivery, settle }: Item): boolean {
  if (!delivery.lapsed) return true
  settle(RELEASE)
  return false
}

function isForGood(error: Error): boolean {
  return error instanceof MessageTooLargeError || error instanceof UnsupportedError
}

function settleAll(items: readonly Item[], verdict: Verdict): void {
  for (const { settle } of items) settle(verdict)
}

function entry(item: Item | undefined, error: Error): [Item, Error][] {
  return item === undefined ? [] : [[item, error]]
}
