import { saidBy, TransactionError } from '../transaction/errors.ts'
import type { SqlParameter, Transaction } from '../transaction/transaction.ts'
import type { SqlValue, Statements } from './executor.ts'
import { MESSAGE_COLUMNS, messageColumns, placeholders } from './rows.ts'

/** What a dialect says of transactions that are begun by others, on connections with settings of their own. */
export interface Foreign {
  /** Before the names of Busbar's tables there; empty where there is one namespace. */
  readonly prefix: string
  /**
   * Nobody else writes while such a transaction does: whatever it needs is written in it, and nothing beside it. Else what
   * it needs is written beside it, so that nobody waits for its commit.
   */
  readonly alone: boolean
  /** SQL of the position of a message. Parameters: topic, partition. Absent: the table's own is right. */
  readonly position?: string
  /** SQL of the transaction's number, by which `ended` knows it. */
  readonly number?: string
  /** Which of some transactions are over. Absent: their commits are seen without it. */
  ended?(sql: Statements, numbers: readonly string[]): Promise<readonly string[]>
  /** A value as a client of theirs sends it. */
  readonly parameter: (value: SqlValue) => SqlParameter
}

/** Rows of one INSERT: each has more than a dozen parameters, and no database takes any number of them. */
const AT_ONCE = 50

/** Appends messages to the log; resolves to the number of the transaction, where it has one. Values: `logValues`. */
export async function appendIn(
  tx: Transaction,
  foreign: Foreign,
  rows: readonly (readonly SqlValue[])[],
): Promise<string | undefined> {
  const { prefix, position, number } = foreign
  const columns = `topic, partition, ${position === undefined ? '' : 'position, '}${messageColumns}`
  const value = `(?, ?, ${position === undefined ? '' : `${position}, `}${placeholders(MESSAGE_COLUMNS.length)})`
  const told = number === undefined ? '' : ` RETURNING ${number} AS number`
  let found: string | undefined
  for (const some of inParts(rows)) {
    const sql = `INSERT INTO ${prefix}busbar_messages (${columns}) VALUES ${some.map(() => value).join(', ')}${told}`
    const params = some.flatMap(([topic = null, partition = null, ...message]) => [
      topic,
      partition,
      ...(position === undefined ? [] : [topic, partition]),
      ...message,
    ])
    const [row] = await tx.execute(sql, params.map(foreign.parameter))
    if (row !== undefined && number !== undefined) found = String(Object.values(row)[0])
  }
  return found
}

/** Keeps messages until their time. Values: due time, topic, partition, then the message's. */
export async function delayIn(
  tx: Transaction,
  foreign: Foreign,
  rows: readonly (readonly SqlValue[])[],
): Promise<void> {
  const value = `(${placeholders(MESSAGE_COLUMNS.length + 3)})`
  for (const some of inParts(rows)) {
    await tx.execute(
      `INSERT INTO ${foreign.prefix}busbar_delayed (due_at, topic, partition, ${messageColumns}) ` +
        `VALUES ${some.map(() => value).join(', ')}`,
      some.flat().map(foreign.parameter),
    )
  }
}

/** The same error, or one that says what to do where the tables are not there. */
export function explainedForeign(error: unknown, where: string): unknown {
  if (!/42P01|3F000|no such table/.test(saidBy(error))) return error
  return new TransactionError(
    `the database of the transaction has no log of Busbar: begin it in the same database (${where}). Nothing was written`,
    { cause: error },
  )
}

function* inParts<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < all.length; from += AT_ONCE) yield all.slice(from, from + AT_ONCE)
}
