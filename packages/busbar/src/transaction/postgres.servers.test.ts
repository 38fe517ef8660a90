import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import createKnex, { type Knex } from 'knex'
import { Kysely, PostgresDialect } from 'kysely'
import type { PoolClient } from 'pg'
import { DataSource } from 'typeorm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Outgoing } from '../broker/index.ts'
import { postgresSchema } from '../postgres/fixtures/schema.ts'
import { message, out, quiet } from '../postgres/fixtures/world.ts'
import { PostgresBroker, PostgresEventStorage } from '../postgres/index.ts'
import { atomically } from './atomic.ts'
import { saidBy } from './errors.ts'
import { type PrismaClientLike, prismaClient } from './fixtures/prisma.ts'
import {
  fromDrizzle,
  fromKnex,
  fromKysely,
  fromPg,
  fromPrisma,
  fromTypeOrm,
  type Transaction,
  TransactionClosedError,
  TransactionError,
} from './index.ts'

const { name: schema, url, pool } = postgresSchema()
/** Unix milliseconds; not while the test runs. */
const LATE = Date.now() + 3_600_000

const broker = new PostgresBroker({ url, schema, logger: quiet })
const storage = new PostgresEventStorage({ broker })
let knex: Knex
let prisma: PrismaClientLike
let typeOrm: DataSource
beforeAll(async () => {
  knex = createKnex({ client: 'pg', connection: url, searchPath: [schema], pool: { min: 0, max: 2 } })
  prisma = prismaClient(url, schema)
  typeOrm = await new DataSource({ type: 'postgres', url, extra: { options: `-c search_path=${schema}` } }).initialize()
  await broker.start()
  await storage.start()
  await pool.query('CREATE TABLE notes (n int PRIMARY KEY, text text, bytes bytea)')
})
beforeEach(async () => void (await pool.query('TRUNCATE notes')))
afterAll(async () => {
  await broker.stop()
  await Promise.all([knex.destroy(), prisma.$disconnect(), typeOrm.destroy()])
})

const written = async (): Promise<unknown[]> =>
  (await pool.query<{ n: number }>('SELECT n FROM notes ORDER BY n')).rows.map(({ n }) => n)

/** Runs `work` in a transaction of the library, and rolls back if it rejects. */
type Within = (work: (tx: Transaction) => Promise<void>) => Promise<void>

async function byHand(work: (client: PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await work(client)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

const libraries: Readonly<Record<string, Within>> = {
  pg: (work) => byHand((client) => work(fromPg(client))),
  Kysely: (work) =>
    new Kysely({ dialect: new PostgresDialect({ pool }) }).transaction().execute((trx) => work(fromKysely(trx))),
  'a controlled transaction of Kysely': async (work) => {
    const trx = await new Kysely({ dialect: new PostgresDialect({ pool }) }).startTransaction().execute()
    try {
      await work(fromKysely(trx))
      await trx.commit().execute()
    } catch (error) {
      await trx.rollback().execute()
      throw error
    }
  },
  Drizzle: (work) => drizzle(pool).transaction((tx) => work(fromDrizzle(tx, sql))),
  Knex: (work) => knex.transaction((trx) => work(fromKnex(trx))),
  Prisma: (work) => prisma.$transaction((tx) => work(fromPrisma(tx))),
  TypeORM: (work) => typeOrm.transaction((manager) => work(fromTypeOrm(manager))),
}

describe.each(Object.entries(libraries))('%s', (name, within) => {
  test('messages, delayed ones and events are there with its own rows, or not at all', async () => {
    const topic = name.replaceAll(' ', '-')
    const sent = (body: string | Uint8Array): Outgoing => ({ ...out('', 'k'), topic, message: message('', { body }) })
    const write = async (tx: Transaction): Promise<void> => {
      await tx.execute('INSERT INTO notes (n) VALUES (1)')
      await broker.publishIn(tx, [sent('text'), sent(Uint8Array.from([0, 255])), { ...sent('later'), deliverAt: LATE }])
      await storage.append([{ stream: `${topic}-1`, events: [sent('event'), sent('?')], expected: 'none' }], { tx })
    }
    const cancelled = within(async (tx) => {
      await write(tx)
      throw new Error('cancelled')
    })
    await expect(cancelled).rejects.toThrow('cancelled')
    expect((await storage.info(`${topic}-1`)).revision).toBe(-1)
    expect(await written()).toEqual([])
    await within(write)
    expect(await written()).toEqual([1])
    expect((await storage.info(`${topic}-1`)).revision).toBe(1)
    const depth = async () => (await broker.metrics()).topics.find((one) => one.topic === topic)
    await expect.poll(depth, { timeout: 30_000 }).toEqual({ topic, depth: 4, delayed: 1 })
  })

  test('runs statements with parameters in the transaction, which commits them', async () => {
    const bytes = Uint8Array.from([0, 255, 63])
    await within(async (tx) => {
      expect(tx.dialect).toBe('postgres')
      await tx.execute(`INSERT INTO notes (n, text, bytes) VALUES (?, 'is it?' || ?::text, ?)`, [1, ' ?', bytes])
      const rows = await tx.execute('SELECT n, text, bytes FROM notes WHERE n = ?', [1])
      // Some give a Buffer, which is one, too.
      const plain = rows.map((row) => ({ ...row, bytes: Uint8Array.from(row['bytes'] as Uint8Array) }))
      expect(plain).toEqual([{ n: 1, text: 'is it? ?', bytes }])
      expect(await tx.execute('UPDATE notes SET text = ? WHERE n = ? RETURNING text', ['x', 1])).toEqual([
        { text: 'x' },
      ])
      expect(await written()).toEqual([])
    })
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
  })

  test('one that has failed is refused, and says that it can only be rolled back', async () => {
    const failed = within(async (tx) => {
      await tx.execute('SELECT 1 / 0').catch(() => {})
      await atomically(tx, () => tx.execute('INSERT INTO notes (n) VALUES (1)'))
    })
    await expect(failed).rejects.toThrow(TransactionClosedError)
    await expect(failed).rejects.toThrow(/can only be rolled back/)
    expect(await written()).toEqual([])
  })
})

test('a pool of pg is refused: each of its statements would be a transaction of its own', () => {
  expect(() => fromPg(pool)).toThrow(TransactionError)
  expect(() => fromPg(pool)).toThrow(/pool\.connect\(\)/)
})

test('what does not tell its dialect is refused with what to do', () => {
  const knexOf = (dialect: string) => ({ isCompleted: () => false, raw: async () => [], client: { dialect } })
  expect(() => fromKnex(knexOf('mysql2'))).toThrow(/fromKnex\(trx, 'postgres'\)/)
  expect(fromKnex(knexOf('sqlite3')).dialect).toBe('sqlite')
})
