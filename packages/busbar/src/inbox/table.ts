import type { InboxEntry } from '../transaction/inbox.ts'
import { ConfigurationError } from '../message/errors.ts'
import type { Transaction } from '../transaction/transaction.ts'

/** Rows deleted in one transaction: short, so that handlers do not wait. */
const AT_ONCE = 500

/** Of Postgres: whoever makes tables keeps out others that want the same, which IF NOT EXISTS does not. */
const LOCK = 'SELECT pg_advisory_xact_lock(1651864419)'

/** The table of what was handled, by the statements that it takes. Each runs in the transaction that it is given. */
export class InboxTable {
  readonly name: string

  /** @throws ConfigurationError where `name` is no name of a table. */
  constructor(name: string) {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$/.test(name)) {
      throw new ConfigurationError(
        `inbox: table must be a name of letters, digits and _, perhaps behind a schema and a dot, not '${name}'`,
      )
    }
    this.name = name
  }

  /** Makes it if it is not there. */
  async make(tx: Transaction): Promise<void> {
    const { name } = this
    if (tx.dialect === 'postgres') {
      // Asked first: where it is there already, no permission to make it is needed.
      const there = 'SELECT 1 AS found WHERE to_regclass(?::text) IS NOT NULL'
      if ((await tx.execute(there, [name])).length > 0) return
      await tx.execute(LOCK)
    }
    const time = tx.dialect === 'postgres' ? 'bigint' : 'INTEGER'
    await tx.execute(
      `CREATE TABLE IF NOT EXISTS ${name} (grp TEXT NOT NULL, message TEXT NOT NULL, handled_at ${time} NOT NULL, PRIMARY KEY (grp, message))`,
    )
    await tx.execute(
      `CREATE INDEX IF NOT EXISTS ${name.replace('.', '_')}_handled_at ON ${this.#indexed(tx)} (handled_at)`,
    )
  }

  /** False where the entry is there already. One that another transaction has written waits for the end of that. */
  async write(tx: Transaction, { group, id }: InboxEntry, now: number): Promise<boolean> {
    const rows = await tx.execute(
      `INSERT INTO ${this.name} (grp, message, handled_at) VALUES (?, ?, ?) ON CONFLICT (grp, message) DO NOTHING RETURNING grp`,
      [group, id, now],
    )
    return rows.length > 0
  }

  /** Deletes some that are older; false where there are no more. */
  async forget(tx: Transaction, before: number): Promise<boolean> {
    const deleted = await tx.execute(
      `DELETE FROM ${this.name} WHERE (grp, message) IN
         (SELECT grp, message FROM ${this.name} WHERE handled_at < ? ORDER BY handled_at LIMIT ${AT_ONCE}) RETURNING grp`,
      [before],
    )
    return deleted.length === AT_ONCE
  }

  /** In SQLite an index is in the schema that its own name says. */
  #indexed(tx: Transaction): string {
    return tx.dialect === 'postgres' ? this.name : this.name.replace(/^.*\./, '')
  }
}
