import { saidBy, TransactionClosedError } from './errors.ts'
import type { Transaction } from './transaction.ts'

/** The last work of each transaction: what is asked of it next waits for it. */
const busy = new WeakMap<Transaction, Promise<unknown>>()

/**
 * Runs `work` inside an open transaction so that, if it rejects, nothing of it stays and the transaction can go on. Calls for
 * the same transaction run one after the other, in their order.
 *
 * A savepoint does both: it takes back what was written, and it tells a transaction from a connection that has none, where
 * statements would be committed one by one.
 *
 * @throws TransactionClosedError before `work` is called, where it is not open.
 */
export function atomically<T>(tx: Transaction, work: () => Promise<T>): Promise<T> {
  const before = busy.get(tx) ?? Promise.resolve()
  const running = before.then(() => run(tx, work))
  busy.set(
    tx,
    running.catch(() => {}),
  )
  return running
}

async function run<T>(tx: Transaction, work: () => Promise<T>): Promise<T> {
  await begin(tx)
  let result: T
  try {
    result = await work()
  } catch (error) {
    await undo(tx)
    throw error
  }
  await tx.execute('RELEASE SAVEPOINT busbar')
  return result
}

async function begin(tx: Transaction): Promise<void> {
  if (tx.isOpen?.() === false) throw closed()
  // SQLite would begin one with the savepoint.
  if (tx.dialect === 'sqlite' && tx.isOpen === undefined) await assertBegun(tx)
  try {
    await tx.execute('SAVEPOINT busbar')
  } catch (error) {
    throw closed(error)
  }
}

/** Nothing in the SQL of SQLite tells whether there is a transaction, but that there cannot be two. */
async function assertBegun(tx: Transaction): Promise<void> {
  try {
    await tx.execute('BEGIN')
  } catch (error) {
    if (saidBy(error).includes('within a transaction')) return
    throw closed(error)
  }
  await tx.execute('ROLLBACK')
  throw closed()
}

/** After some errors there is nothing left to undo; the error that led here is the one to report. */
async function undo(tx: Transaction): Promise<void> {
  try {
    await tx.execute('ROLLBACK TO SAVEPOINT busbar')
    await tx.execute('RELEASE SAVEPOINT busbar')
  } catch {
    // The connection or the whole transaction is gone, and with it what was written.
  }
}

function closed(cause?: unknown): TransactionClosedError {
  if (cause === undefined) {
    return new TransactionClosedError(
      'the transaction is not open: it was committed or rolled back before, or never begun. Nothing was written: ' +
        'do this before its end, and wait for it',
    )
  }
  const failed = saidBy(cause).includes('25P02')
  const what = failed ? 'a statement in it failed before, so it can only be rolled back' : (cause as Error).message
  return new TransactionClosedError(`the transaction is not open: ${what}. Nothing was written`, { cause })
}
