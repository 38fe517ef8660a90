import type { Broker, Outbox, OutboxMetrics, Outgoing } from '../broker/index.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { addressed } from './address.ts'
import { Relay, relayGroup } from './relay.ts'

export interface OutboxOptions {
  /** A broker in the database of your transactions: SQLite or Postgres. The outbox starts and stops it. */
  readonly broker: Broker
  /** Names the outbox, where several applications with brokers of their own share a database. Default `outbox`. */
  readonly name?: string
  /** Whether this process hands on what is committed, by this one or another. Default true; else `relayOutbox` does somewhere. */
  readonly relay?: boolean
  /** Most messages on their way at once, in each process. Default 1 000. */
  readonly prefetch?: number
  /** Most messages of one publish. Default 500. */
  readonly batch?: number
  /** Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

/**
 * An outbox for a bus whose broker is no database, or another one than that of your transactions:
 * `new EventBus(kafka, { outbox: outbox({ broker: postgres }) })`.
 *
 * @throws ConfigurationError where the broker cannot write inside transactions.
 */
export function outbox(options: OutboxOptions): Outbox {
  return new RelayedOutbox(options)
}

class RelayedOutbox implements Outbox {
  readonly broker: Broker
  readonly #name: string
  readonly #options: OutboxOptions
  #started: Promise<void> | undefined
  #relay: Relay | undefined

  constructor(options: OutboxOptions) {
    const { broker, name = 'outbox' } = options
    const { transactions, groups, replay } = broker.capabilities
    if (broker.publishIn === undefined || !(transactions && groups && replay)) {
      throw new ConfigurationError(
        `broker '${broker.name}' cannot be an outbox, because it cannot write inside transactions: name the database of your ` +
          `transactions, 'postgres://…' or 'sqlite:…' with a file`,
      )
    }
    if (!/^\S+$/.test(name)) throw new ConfigurationError(`outbox '${name}': the name must be a text without blanks`)
    this.broker = broker
    this.#name = name
    this.#options = options
  }

  start(): Promise<void> {
    this.#started ??= this.#begin().catch((error: unknown) => {
      this.#started = undefined
      throw error
    })
    return this.#started
  }

  async #begin(): Promise<void> {
    await this.broker.start()
    // Until there is a group that has not settled it, the log keeps a message only for its time.
    if ((await this.#measured()) === undefined) await this.#makeGroup()
  }

  async publishIn(tx: Transaction, batch: readonly Outgoing[]): Promise<void> {
    await this.broker.publishIn?.(
      tx,
      batch.map((one) => addressed(this.#name, one)),
    )
  }

  async relay(to: Broker): Promise<void> {
    const { broker: from, relay: wanted = true, ...options } = this.#options
    if (!wanted || this.#relay !== undefined) return
    const relay = new Relay({ ...options, from, to })
    await relay.start()
    this.#relay = relay
  }

  async metrics(): Promise<OutboxMetrics> {
    const { lag = 0, oldest, dead = 0 } = (await this.#measured()) ?? {}
    const { moved = 0, failing } = this.#relay?.stats() ?? {}
    return {
      unsent: lag,
      oldestUnsentAge: oldest === undefined ? 0 : Math.max(0, Date.now() - oldest),
      refused: dead,
      moved,
      ...(failing === undefined ? {} : { failing }),
    }
  }

  async stop(options: { readonly deadline?: number } = {}): Promise<void> {
    try {
      await this.#relay?.stop(options)
    } finally {
      await this.broker.stop(options)
    }
  }

  /** What the broker says of the relays' group. */
  async #measured() {
    const { groups } = await this.broker.metrics()
    return groups.find(({ group, topic }) => group === relayGroup(this.#name) && topic === this.#name)
  }

  async #makeGroup(): Promise<void> {
    const topics = [this.#name]
    const spec = { group: relayGroup(this.#name), topics, broadcast: false, prefetch: 1, from: 'earliest' } as const
    const subscription = await this.broker.subscribe({ ...spec, onFailure: 'continue' }, () => ({ release: true }))
    await subscription.stop()
  }
}
