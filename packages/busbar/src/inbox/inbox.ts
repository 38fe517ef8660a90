import { type BrokerLogger, standardErrorLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { Inbox, InboxEntry, InboxTransaction } from '../transaction/inbox.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { InboxTable } from './table.ts'

/** What every inbox can be told. */
export interface InboxSettings {
  /** Its table, made if it is not there. Default `busbar_inbox`. */
  readonly table?: string
  /**
   * Milliseconds that an entry is kept. A message that comes again later than that runs again, so it must be longer than any
   * broker keeps a message or a dead letter is redriven. Default 7 days; `Infinity` keeps all.
   */
  readonly retention?: number
  /** Told of trouble in the background. Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
  /** Default: the system's. */
  readonly clock?: { now(): number }
}

export interface InboxOptions<Client extends object> extends InboxSettings {
  /** Begins a transaction of your library, runs `work` in it and commits; rolls back and rejects if `work` rejects. */
  readonly transaction: (work: (client: Client) => Promise<unknown>) => Promise<unknown>
  /** What Busbar writes through: `fromKysely`, `(trx) => fromDrizzle(trx, sql)` … of busbar/transaction. */
  readonly toTransaction: (client: Client) => Transaction
  /** Lets go what the inbox itself has opened. */
  readonly close?: () => void | Promise<void>
}

const DAY = 86_400_000
/** Milliseconds between two rounds of deleting, at most. */
const LONGEST_PERIOD = 60_000

/**
 * An inbox in whatever library you use; name what handlers are given as `tx.client`:
 *
 * @example
 * const handled = inbox<Transaction<Tables>>({ transaction: (work) => db.transaction().execute(work), toTransaction: fromKysely })
 * await bus.subscribe(OrderPlaced, async ({ data }, { tx }) => {
 *   await tx.client.insertInto('shipments').values({ order: data.orderId }).execute()
 * }, { group: 'shipping', inbox: handled })
 */
export function inbox<Client extends object>(options: InboxOptions<Client>): Inbox<Client> {
  return new TableInbox(options)
}

class TableInbox<Client extends object> implements Inbox<Client> {
  readonly #options: InboxOptions<Client>
  readonly #table: InboxTable
  readonly #retention: number
  readonly #logger: BrokerLogger
  #users = 0
  #made: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #deleting: Promise<void> = Promise.resolve()

  constructor(options: InboxOptions<Client>) {
    const { table = 'busbar_inbox', retention = 7 * DAY, logger = standardErrorLogger } = options
    if (!(retention >= 0)) {
      throw new ConfigurationError(`inbox: retention must be 0 or more milliseconds, not ${retention}`)
    }
    this.#options = options
    this.#table = new InboxTable(table)
    this.#retention = retention
    this.#logger = logger
  }

  async start(): Promise<void> {
    this.#users++
    try {
      this.#made ??= this.#run((tx) => this.#table.make(tx))
      await this.#made
    } catch (error) {
      this.#made = undefined
      this.#users--
      throw error
    }
    if (this.#timer === undefined) this.#schedule()
  }

  async once(
    entry: InboxEntry,
    work: (tx: InboxTransaction<Client>) => Promise<unknown>,
  ): Promise<'handled' | 'duplicate'> {
    let outcome: 'handled' | 'duplicate' = 'duplicate'
    await this.#run(async (tx) => {
      if (!(await this.#table.write(tx, entry, this.#now()))) return
      await work(tx)
      // A statement that failed, though the handler made nothing of it: its transaction is "committed" and nothing of it is there.
      if (tx.dialect === 'postgres') await tx.execute('SELECT 1')
      outcome = 'handled'
    })
    return outcome
  }

  async stop(): Promise<void> {
    if (--this.#users > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#deleting
    if (this.#users <= 0) await this.#options.close?.()
  }

  async #run(work: (tx: InboxTransaction<Client>) => Promise<unknown>): Promise<void> {
    const { transaction, toTransaction } = this.#options
    await transaction((client) => work(withClient(toTransaction(client), client)))
  }

  #now(): number {
    return this.#options.clock?.now() ?? Date.now()
  }

  #schedule(): void {
    if (this.#retention === Infinity || this.#users === 0) return
    const period = Math.max(10, Math.min(LONGEST_PERIOD, this.#retention / 10))
    this.#timer = setTimeout(() => {
      this.#deleting = this.#forget().finally(() => this.#schedule())
    }, period)
    this.#timer.unref()
  }

  /** In a transaction of its own; false where there are no more. */
  async #forgetSome(before: number): Promise<boolean> {
    let more = false
    await this.#run(async (tx) => {
      more = await this.#table.forget(tx, before)
    })
    return more
  }

  async #forget(): Promise<void> {
    try {
      const before = this.#now() - this.#retention
      while (this.#users > 0 && (await this.#forgetSome(before)));
    } catch (error) {
      this.#logger.warn({ err: String(error) }, `cannot delete old entries of ${this.#table.name}: trying again later`)
    }
  }
}

/** The same object, so that what is written through it keeps to one line, whoever made it of the client. */
function withClient<Client>(tx: Transaction, client: Client): InboxTransaction<Client> {
  return Object.assign(tx, { client })
}
