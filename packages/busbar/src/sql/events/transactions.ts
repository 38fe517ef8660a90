import type { SqlParameter, SqlRow, Transaction } from '../../transaction/transaction.ts'
import { TransactionError } from '../../store/index.ts'
import type { Row, Statements } from '../executor.ts'
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
export function rowsOf(tx: Transaction, dialect: EventsDialect): Rows {
  return {
    all: async (sql, params = []) =>
      (await tx.execute(
        sql,
        params.map((value) => dialect.given(value)),
      )) as readonly Row[],
  }
}

/** A name that no savepoint of the user's has. */
const SAVEPOINT = 'busbar_append'

/**
 * Runs `work` in a transaction of the user's. What fails is undone to here, so that the transaction can go on.
 *
 * @throws TransactionError where it is over, failed before, or is of another kind of database.
 */
export async function within<T>(tx: Transaction, dialect: EventsDialect, work: (rows: Rows) => Promise<T>): Promise<T> {
  if (tx.dialect !== dialect.database) {
    throw new TransactionError(
      `the transaction is of ${tx.dialect} and the events are kept in ${dialect.database}: give a transaction of the same database`,
    )
  }
  const rows = rowsOf(tx, dialect)
  await assertOpen(tx)
  await tx.execute(`SAVEPOINT ${SAVEPOINT}`).catch((error: unknown) => {
    throw new TransactionError(
      `the transaction is over, or a statement in it failed before (${textOf(error)}): append before it is committed, and begin another one after a failure`,
      { cause: error },
    )
  })
  try {
    const result = await work(rows)
    await tx.execute(`RELEASE SAVEPOINT ${SAVEPOINT}`)
    return result
  } catch (error) {
    await tx.execute(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`).catch(() => {})
    await tx.execute(`RELEASE SAVEPOINT ${SAVEPOINT}`).catch(() => {})
    throw isOfAnotherDatabase(error)
      ? new TransactionError(
          `the transaction is of a database without Busbar's tables (${textOf(error)}): give one of the database that the event storage is on`,
          { cause: error },
        )
      : error
  }
}

/**
 * In SQLite a savepoint outside of a transaction would begin one. So it is asked to begin another one, which it refuses
 * within a transaction, and nothing else happens.
 */
async function assertOpen(tx: Transaction): Promise<void> {
  if (tx.dialect !== 'sqlite') return
  try {
    await tx.execute('BEGIN')
  } catch (error) {
    if (/within a transaction/i.test(textOf(error))) return
    throw new TransactionError(`the transaction cannot be used (${textOf(error)}): append before it ends`, {
      cause: error,
    })
  }
  await tx.execute('ROLLBACK').catch(() => {})
  throw new TransactionError(
    'the transaction is over, so an append in it would not be part of anything: append before it is committed or rolled back',
  )
}

function isOfAnotherDatabase(error: unknown): boolean {
  return /no such table: busbar_|relation "[^"]*busbar_\w+" does not exist|schema "[^"]*" does not exist/.test(
    textOf(error),
  )
}

/** What drivers wrap is in their causes. */
export function textOf(error: unknown): string {
  const texts: string[] = []
  for (let one: unknown = error; one instanceof Error && texts.length < 5; one = one.cause) texts.push(one.message)
  return texts.length === 0 ? String(error) : texts.join(': ')
}
