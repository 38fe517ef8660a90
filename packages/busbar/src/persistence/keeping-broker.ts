import { StoreRelay } from '../bridge/store-relay.ts'
import { isForOthers, unrelayed } from '../bridge/unrelayed.ts'
import {
  type Broker,
  type BrokerMetrics,
  type BrokerSubscription,
  type Capabilities,
  type DeadLetterStore,
  type Deliver,
  type Outgoing,
  PublishError,
  type SubscriptionSpec,
  UnsupportedError,
} from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'
import type { Append, EventStorage } from '../store/index.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { type PersistenceOptions, policyOf } from './options.ts'
import { Runs, type StreamPart } from './runs.ts'

/**
 * A broker whose events are kept in an event store first: what the policy names is appended to the stream that its subject names, and is
 * published from there, in the same commit where store and broker share a log, else by a relay. There is no moment in which an event is
 * published and not stored, or stored and forgotten.
 */
export class KeepingBroker implements Broker {
  readonly name: string
  readonly capabilities: Capabilities
  readonly deadLetters: DeadLetterStore
  readonly storage: EventStorage
  readonly relay: StoreRelay | undefined
  readonly #broker: Broker
  readonly #isKept: (message: EncodedMessage) => boolean
  readonly #sharesLog: boolean
  readonly #relayName: string

  constructor(options: PersistenceOptions) {
    const { broker, storage, shouldPersist, relay = true, name = 'relay', logger } = options
    this.#broker = broker
    this.storage = storage
    this.name = broker.name
    this.deadLetters = broker.deadLetters
    const { capabilities } = broker
    this.#sharesLog = storage.publishesTo?.(broker) ?? false
    this.capabilities = {
      ...capabilities,
      inProcess: capabilities.inProcess && storage.capabilities.inProcess,
      transactions: storage.capabilities.transactions && this.#sharesLog && capabilities.transactions,
      maxMessageBytes: Math.min(capabilities.maxMessageBytes, storage.capabilities.maxEventBytes),
    }
    this.#isKept = policyOf(shouldPersist)
    this.#relayName = name
    if (this.#sharesLog || !relay) return
    this.relay = new StoreRelay({ from: storage, to: broker, name, ...(logger === undefined ? {} : { logger }) })
  }

  async start(): Promise<void> {
    await this.#broker.start()
    await this.storage.start()
    await this.relay?.start()
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    // A redrive is of a message that was published before.
    const isKept = (one: Outgoing): boolean => one.group === undefined && this.#isKept(one.message)
    const kept = batch.map(isKept)
    if (!kept.includes(true)) return this.#broker.publish(batch)
    const failed = new Map<number, Error>()
    await this.#keep(batch, kept, failed)
    const indexes = kept.flatMap((is, index) => (is ? [] : [index]))
    if (indexes.length > 0) await this.#send(batch, indexes, failed)
    if (failed.size === 0) return
    const failures = [...failed].toSorted(([a], [b]) => a - b)
    throw new PublishError(
      failures.map(([index, error]) => ({ index, id: (batch[index] as Outgoing).message.id, error })),
      batch.length,
    )
  }

  assertOutside(): void {
    this.#broker.assertOutside?.()
    this.storage.assertOutside?.()
  }

  async publishIn(tx: Transaction, batch: readonly Outgoing[]): Promise<void> {
    if (!this.capabilities.transactions || this.#broker.publishIn === undefined) {
      throw new UnsupportedError(
        `the event store ${this.storage.name} cannot keep events inside a transaction of yours for broker '${this.name}': ` +
          'use SQLite or PostgreSQL for both, on one database',
      )
    }
    const runs = new Runs()
    const others: Outgoing[] = []
    for (const [index, one] of batch.entries()) {
      if (one.group === undefined && this.#isKept(one.message)) runs.add(one, index)
      else others.push(one)
    }
    for (const run of runs.all) await this.storage.append([...run].map(appendOf), { tx })
    if (others.length > 0) await this.#broker.publishIn(tx, others)
  }

  subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    return this.#broker.subscribe(spec, deliver)
  }

  deleteGroup(group: string): Promise<void> {
    return this.#broker.deleteGroup(group)
  }

  /** What is still to be relayed is counted first, so that what has left it since is in the numbers of the groups. */
  async metrics(): Promise<BrokerMetrics> {
    if (this.#sharesLog) return this.#broker.metrics()
    const waiting = await unrelayed(this.storage, this.#relayName, isForOthers)
    const { moved = 0, refused = 0, failing } = this.relay?.stats() ?? {}
    const relay = { ...waiting, refused, moved, ...(failing === undefined ? {} : { failing }) }
    return { ...(await this.#broker.metrics()), relay }
  }

  async ping(): Promise<void> {
    await Promise.all([this.#broker.ping(), this.storage.ping()])
  }

  async stop(options: { readonly deadline?: number } = {}): Promise<void> {
    await this.relay?.stop(options)
    await this.#broker.stop(options)
    await this.storage.stop()
  }

  async #keep(batch: readonly Outgoing[], kept: readonly boolean[], failed: Map<number, Error>): Promise<void> {
    const runs = new Runs()
    for (const [index, one] of batch.entries()) {
      if (kept[index] !== true) continue
      try {
        runs.add(one, index)
      } catch (error) {
        failed.set(index, error as Error)
      }
    }
    for (const run of runs.all) await this.#append(run, failed)
  }

  /** All streams in one append; where that is refused, each by itself, so that one that is wrong costs the others nothing. */
  async #append(run: ReadonlyMap<string, StreamPart>, failed: Map<number, Error>): Promise<void> {
    try {
      await this.storage.append([...run].map(appendOf))
    } catch (error) {
      if (run.size === 1) return refuse([...run.values()], error, failed)
      for (const entry of run) {
        await this.storage.append([appendOf(entry)]).catch((reason: unknown) => refuse([entry[1]], reason, failed))
      }
    }
  }

  async #send(batch: readonly Outgoing[], indexes: readonly number[], failed: Map<number, Error>): Promise<void> {
    try {
      await this.#broker.publish(indexes.map((index) => batch[index] as Outgoing))
    } catch (error) {
      if (!(error instanceof PublishError)) {
        for (const index of indexes) failed.set(index, error as Error)
        return
      }
      for (const one of error.failed) failed.set(indexes[one.index] as number, one.error)
    }
  }
}

function appendOf([stream, { events }]: readonly [string, StreamPart]): Append {
  return { stream, events, expected: 'any' }
}

function refuse(parts: readonly StreamPart[], error: unknown, failed: Map<number, Error>): void {
  const reason = error instanceof Error ? error : new Error(String(error))
  for (const { indexes } of parts) for (const index of indexes) failed.set(index, reason)
}
