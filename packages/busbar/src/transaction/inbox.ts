import type { Transaction } from './transaction.ts'

/** One message for one group: what an inbox remembers. */
export interface InboxEntry {
  readonly group: string
  /** The message's id. */
  readonly id: string
}

/** The transaction in which a handler runs: Busbar's view of it, and your library's. */
export interface InboxTransaction<Client = unknown> extends Transaction {
  /** What your library begins transactions with or hands you in them: a client of `pg`, a `trx` … */
  readonly client: Client
}

/**
 * The consumer's record of what it has handled, in the database in which its handlers work. Made by busbar/inbox.
 *
 * `Client` is what handlers get as `ctx.tx.client`.
 */
export interface Inbox<Client = unknown> {
  /** Makes its table if it is not there. Called for each subscription that uses it, before that reads. */
  start(): Promise<void>
  /**
   * Begins a transaction, writes the entry, runs `work` and commits. Where the entry is there already, `work` is not run: it
   * resolves to `duplicate`. If `work` rejects, all is rolled back, the entry too, and it rejects with that error. Two at
   * once for the same entry: the second waits for the first.
   */
  once(entry: InboxEntry, work: (tx: InboxTransaction<Client>) => Promise<unknown>): Promise<'handled' | 'duplicate'>
  /** A subscription that used it has ended. */
  stop(): Promise<void>
}
