import { type Broker, type Outbox, type Outgoing, UnsupportedError } from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { Transaction } from '../transaction/transaction.ts'

/** Where what is published inside a transaction goes: to the outbox, or to the broker where that can. */
export class Inside {
  /** What it can do is that of this broker. */
  readonly broker: Broker
  private readonly to: Broker | Outbox
  private readonly name: string

  constructor(broker: Broker, outbox: Outbox | undefined) {
    this.broker = outbox?.broker ?? broker
    this.to = outbox ?? broker
    this.name = broker.name
  }

  /** @throws UnsupportedError, ConfigurationError: nothing can be published in it. */
  check(tx: Transaction): void {
    if (!this.broker.capabilities.transactions) throw this.unsupported()
    if (typeof tx.execute !== 'function' || typeof tx.dialect !== 'string') {
      throw new ConfigurationError(
        `'tx' is no transaction of Busbar: make one of what your library has, for example fromPg(client), fromKysely(trx) or ` +
          `fromNodeSqlite(db) of busbar/transaction`,
      )
    }
  }

  async publish(tx: Transaction, outgoing: readonly Outgoing[]): Promise<void> {
    if (outgoing.length === 0) return
    if (this.to.publishIn === undefined) throw this.unsupported()
    await this.to.publishIn(tx, outgoing)
  }

  private unsupported(): UnsupportedError {
    return new UnsupportedError(
      `broker '${this.name}' cannot publish inside a transaction of yours: give the bus an outbox in the database of the ` +
        `transaction, createEventBus({ broker, outbox: 'postgres://…' }) or 'sqlite:…', or use that database as the broker`,
    )
  }
}
