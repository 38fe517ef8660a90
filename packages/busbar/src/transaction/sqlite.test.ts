import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/sqlite-proxy'
import { Kysely, SqliteDialect } from 'kysely'
import { DataSource } from 'typeorm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { atomically } from './atomic.ts'
import { saidBy } from './errors.ts'
import {
  fromDrizzle,
  fromKysely,
  fromNodeSqlite,
  fromPrisma,
  fromTypeOrm,
  type Transaction,
  TransactionClosedError,
} from './index.ts'

let db: DatabaseSync
beforeEach(() => {
  db = new DatabaseSync(':memory:')
  db.exec(NOTES)
})
afterEach(() => db.close())

const NOTES = 'CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT, bytes BLOB)'
const WRITTEN = 'SELECT n FROM notes ORDER BY n'

/** Kysely over `node:sqlite`, whose statements do not say whether they give rows. */
function kysely(): Kysely<object> {
  const database = {
    close() {},
    prepare(text: string) {
      const statement = db.prepare(text)
      return {
        reader: statement.columns().length > 0,
        all: (params: readonly unknown[]) => statement.all(...(params as SQLInputValue[])),
        run: (params: readonly unknown[]) => statement.run(...(params as SQLInputValue[])),
        iterate: (params: readonly unknown[]) => statement.iterate(...(params as SQLInputValue[])),
      }
    },
  }
  return new Kysely({ dialect: new SqliteDialect({ database }) })
}

/** Drizzle's driver for whatever runs statements: rows are lists of values. */
const drizzled = () =>
  drizzle(async (text, params, method) => {
    const statement = db.prepare(text)
    if (method === 'run') {
      statement.run(...(params as SQLInputValue[]))
      return { rows: [] }
    }
    statement.setReturnArrays(true)
    return { rows: statement.all(...(params as SQLInputValue[])) as unknown as unknown[] }
  })

/** Runs `work` in a transaction of the library, and rolls back if it rejects. */
type Within = (work: (tx: Transaction) => Promise<void>) => Promise<void>

async function byHand(work: () => Promise<void>): Promise<void> {
  db.exec('BEGIN')
  try {
    await work()
    db.exec('COMMIT')
  } catch (error) {
    db.exec('ROLLBACK')
    throw error
  }
}

/** TypeORM over sql.js, which has the database in its own memory. */
let typeOrm: DataSource
beforeAll(async () => void (typeOrm = await new DataSource({ type: 'sqljs' }).initialize()))
beforeEach(async () => {
  await typeOrm.query('DROP TABLE IF EXISTS notes')
  await typeOrm.query(NOTES)
})
afterAll(() => typeOrm.destroy())

const libraries: Readonly<Record<string, Within>> = {
  'node:sqlite': (work) => byHand(() => work(fromNodeSqlite(db))),
  Kysely: (work) =>
    kysely()
      .transaction()
      .execute((trx) => work(fromKysely(trx))),
  Drizzle: (work) => drizzled().transaction((tx) => work(fromDrizzle(tx, sql))),
  TypeORM: (work) => typeOrm.transaction((manager) => work(fromTypeOrm(manager))),
  // Prisma has no driver for SQLite without native parts: its method over node:sqlite.
  'an executor like that of Prisma': (work) =>
    byHand(() => {
      const query = async (text: string, ...params: unknown[]): Promise<never> =>
        db.prepare(text).all(...(params as SQLInputValue[])) as never
      return work(fromPrisma({ $queryRawUnsafe: query }, 'sqlite'))
    }),
}

describe.each(Object.entries(libraries))('%s', (name, within) => {
  const written = async (): Promise<unknown[]> => {
    const rows = name === 'TypeORM' ? await typeOrm.query<{ n: number }[]>(WRITTEN) : db.prepare(WRITTEN).all()
    return rows.map((row) => row['n'])
  }

  test('runs statements with parameters in the transaction, which commits them', async () => {
    const bytes = Uint8Array.from([0, 255, 63])
    let rows: unknown
    await within(async (tx) => {
      expect(tx.dialect).toBe('sqlite')
      await tx.execute(`INSERT INTO notes (n, text, bytes) VALUES (?, 'is it?' || ?, ?)`, [1, ' ?', bytes])
      rows = await tx.execute('SELECT n, text, bytes FROM notes WHERE n = ?', [1])
    })
    // Drizzle's driver for this test gives rows as lists.
    if (name === 'Drizzle') expect(rows).toEqual([[1, 'is it? ?', bytes]])
    else expect(rows).toEqual([{ n: 1, text: 'is it? ?', bytes }])
    expect(await written()).toEqual([1])
  })

  test('nothing is there after a rollback', async () => {
    const cancelled = within(async (tx) => {
      await tx.execute('INSERT INTO notes (n) VALUES (?)', [1])
      throw new Error('cancelled')
    })
    await expect(cancelled).rejects.toThrow('cancelled')
    expect(await written()).toEqual([])
  })

  test('what fails half-way leaves nothing, and the transaction goes on', async () => {
    await within(async (tx) => {
      await tx.execute('INSERT INTO notes (n) VALUES (1)')
      const failing = atomically(tx, async () => {
        await tx.execute('INSERT INTO notes (n) VALUES (2)')
        await tx.execute('INSERT INTO notes (n) VALUES (1)')
      })
      const reason = await failing.catch((error: unknown) => error)
      expect(saidBy(reason)).toMatch(/unique|duplicate key/i)
      await atomically(tx, () => tx.execute('INSERT INTO notes (n) VALUES (3)'))
    })
    expect(await written()).toEqual([1, 3])
  })

  test('one that is over is refused before anything is written', async () => {
    let over: Transaction | undefined
    await within(async (tx) => {
      over = tx
    })
    const late = atomically(over as Transaction, () =>
      (over as Transaction).execute('INSERT INTO notes (n) VALUES (1)'),
    )
    await expect(late).rejects.toThrow(TransactionClosedError)
    await expect(late).rejects.toThrow(/not open/)
    expect(await written()).toEqual([])
    expect(db.isTransaction).toBe(false)
  })

  test('what is asked for at once happens one after the other, in the order of the calls', async () => {
    await within(async (tx) => {
      const order: number[] = []
      const one = (n: number): Promise<void> =>
        atomically(tx, async () => {
          await tx.execute('INSERT INTO notes (n) VALUES (?)', [n])
          await new Promise((resolve) => setTimeout(resolve, 3 - n))
          order.push(n)
          if (n === 2) throw new Error('the second fails')
        })
      await Promise.allSettled([one(1), one(2), one(3)])
      expect(order).toEqual([1, 2, 3])
    })
    expect(await written()).toEqual([1, 3])
  })
})
