import { BEGINNING, type Checkpoint, type Checkpoints, type Claim, type Position } from '../../store/index.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import type { SqlContext } from '../context.ts'
import type { SqlValue } from '../executor.ts'
import type { EventsDialect } from './dialect.ts'
import { within } from './transactions.ts'

/** Whose the claim is that is written by. */
const OURS = 'name = ? AND owner = ? AND token = ?'

/** Places of readers, in the database of the events. Time is that of the processes, as it is for leases of partitions. */
export class SqlCheckpoints implements Checkpoints {
  private readonly context: SqlContext
  private readonly dialect: EventsDialect
  private readonly where: string
  private readonly table: string

  /** @param where The database, for people. */
  constructor(context: SqlContext, dialect: EventsDialect, where: string) {
    this.context = context
    this.dialect = dialect
    this.where = where
    this.table = `${dialect.schema}busbar_checkpoints`
  }

  async claim(name: string, owner: string, milliseconds: number): Promise<Claim | undefined> {
    const now = this.context.now()
    const [row] = await this.context.executor.all(
      `INSERT INTO ${this.table} AS c (name, position, owner, token, expires, updated_at) VALUES (?, '${BEGINNING}', ?, 1, ?, ?)
       ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires,
         token = c.token + CASE WHEN c.owner = excluded.owner THEN 0 ELSE 1 END
       WHERE c.owner IS NULL OR c.owner = excluded.owner OR c.expires <= ?
       RETURNING token, position`,
      [name, owner, now + milliseconds, now, now],
    )
    return row === undefined
      ? undefined
      : { name, owner, token: Number(row['token']), position: row['position'] as Position }
  }

  async advance(claim: Claim, position: Position): Promise<boolean> {
    return (await this.context.executor.run(this.advancing(), this.advanced(claim, position))) === 1
  }

  async advanceIn(tx: Transaction, claim: Claim, position: Position): Promise<boolean> {
    const params = this.advanced(claim, position)
    return within(
      tx,
      this.dialect,
      this.where,
      async (rows) => (await rows.all(`${this.advancing()} RETURNING name`, params)).length === 1,
    )
  }

  async release(claim: Claim): Promise<void> {
    await this.context.executor.run(`UPDATE ${this.table} SET owner = NULL WHERE ${OURS}`, ours(claim))
  }

  async get(name: string): Promise<Checkpoint | undefined> {
    const [row] = await this.context.executor.all(
      `SELECT position, owner, expires, updated_at FROM ${this.table} WHERE name = ?`,
      [name],
    )
    if (row === undefined) return undefined
    const { position, owner, expires, updated_at: updatedAt } = row
    const kept = { name, position: position as Position, updatedAt: Number(updatedAt) }
    const isHeld = typeof owner === 'string' && Number(expires) > this.context.now()
    return isHeld ? { ...kept, owner } : kept
  }

  async delete(name: string): Promise<boolean> {
    const now = this.context.now()
    return this.context.executor.write(async (sql) => {
      const deleted = await sql.run(`DELETE FROM ${this.table} WHERE name = ? AND (owner IS NULL OR expires <= ?)`, [
        name,
        now,
      ])
      if (deleted > 0) return true
      return (await sql.all(`SELECT name FROM ${this.table} WHERE name = ?`, [name])).length === 0
    })
  }

  private advancing(): string {
    return `UPDATE ${this.table} SET position = ?, updated_at = ? WHERE ${OURS}`
  }

  private advanced(claim: Claim, position: Position): SqlValue[] {
    return [position, this.context.now(), ...ours(claim)]
  }
}

function ours({ name, owner, token }: Claim): SqlValue[] {
  return [name, owner, token]
}
