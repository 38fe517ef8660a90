import type { SqlParameter, SqlRow, Transaction } from '../../transaction/transaction.ts'
import { atomically } from '../../transaction/atomic.ts'
import { TransactionError } from '../../transaction/errors.ts'
import type { Row, Statements } from '../executor.ts'
import { explainedForeign } from '../foreign.ts'
import type { EventsDialect, Rows } from './dialect.ts'

/** A transaction of ours, as users see one. */
export class OwnTransaction implements Transaction {
  readonly dialect: Transaction['dialect']
  private readonly sql: Statements
  private ended = false

  constructor(sql: Statements, dialect: EventsDialect) {
    this.sql = sql
    this.dialect = dialect.database
  }

  async execute(sql: string, params: readonly SqlParameter[] = []): Promise<readonly SqlRow[]> {
    if (this.ended) {
      throw new TransactionError(
        'a statement came after the end of its transaction, and was not run: await everything before the function that was given the transaction returns',
      )
    }
    return this.sql.all(sql, params)
  }

  end(): void {
    this.ended = true
  }
}

/** Statements of ours in a transaction of the user's. */
function rowsOf(tx: Transaction, dialect: EventsDialect): Rows {
  return {
    all: async (sql, params = []) =>
      (await tx.execute(
        sql,
        params.map((value) => dialect.given(value)),
      )) as readonly Row[],
  }
}

/**
 * Runs `work` in a transaction of the user's. What fails is undone to here, so that the transaction can go on. Whatever else is
 * written in the same transaction meanwhile, a publish too, is before or behind it.
 *
 * @param where The database of the events, for people.
 * @throws TransactionClosedError where it is over or failed before, TransactionError where it is of another database.
 */
export async function within<T>(
  tx: Transaction,
  dialect: EventsDialect,
  where: string,
  work: (rows: Rows) => Promise<T>,
): Promise<T> {
  if (tx.dialect !== dialect.database) {
    throw new TransactionError(
      `the transaction is of ${tx.dialect} and the events are in ${where}: give a transaction of the same database. Nothing was written`,
    )
  }
  try {
    return await atomically(tx, () => work(rowsOf(tx, dialect)))
  } catch (error) {
    throw explainedForeign(error, where)
  }
}
