import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import createKnex, { type Knex } from 'knex'
import { Kysely, PostgresDialect, type Transaction as KyselyTransaction } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { EventBus, silentLogger } from '../bus/index.ts'
import { event, typed } from '../message/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { postgresSchema } from '../postgres/fixtures/schema.ts'
import { saidBy } from '../transaction/errors.ts'
import { fromDrizzle, fromKnex, fromKysely } from '../transaction/index.ts'
import { type Inbox, inbox, type InboxTransaction, pgInbox } from './index.ts'

const { name: schema, url, pool } = postgresSchema()
const Placed = event('Placed', typed<{ n: number }>())

let knex: Knex
beforeAll(async () => {
  knex = createKnex({ client: 'pg', connection: url, searchPath: [schema], pool: { min: 0, max: 4 } })
  await pool.query('CREATE TABLE effects (n int)')
})
beforeEach(async () => {
  await pool.query('TRUNCATE effects; DROP TABLE IF EXISTS busbar_inbox')
})
afterAll(() => knex.destroy())

const effects = async (): Promise<unknown[]> =>
  (await pool.query<{ n: number }>('SELECT n FROM effects ORDER BY n')).rows.map(({ n }) => n)

const libraries: Readonly<Record<string, () => Inbox>> = {
  pg: () => pgInbox(pool),
  Kysely: () => {
    const db = new Kysely<object>({ dialect: new PostgresDialect({ pool }) })
    return inbox<KyselyTransaction<object>>({
      transaction: (work) => db.transaction().execute(work),
      toTransaction: (trx) => fromKysely(trx),
    })
  },
  Drizzle: () => {
    const db = drizzle(pool)
    type Tx = Parameters<Parameters<typeof db.transaction>[0]>[0]
    const toTransaction = (tx: Tx) => fromDrizzle(tx, sql)
    return inbox({ transaction: (work: (tx: Tx) => Promise<unknown>) => db.transaction(work), toTransaction })
  },
  Knex: () =>
    inbox({
      transaction: (work: (trx: Knex.Transaction) => Promise<unknown>) => knex.transaction(work),
      toTransaction: (trx) => fromKnex(trx),
    }),
}

describe.each(Object.entries(libraries))('%s', (_, make) => {
  async function started(): Promise<Inbox> {
    const one = make()
    await one.start()
    return one
  }

  test('several processes that begin at once make one table', async () => {
    const all = await Promise.all(Array.from({ length: 4 }, started))
    for (const one of all) await one.stop()
    expect((await pool.query('SELECT * FROM busbar_inbox')).rows).toEqual([])
  })

  test('two deliveries at once run once: the second waits for the first, and runs if that fails', async () => {
    const [one, two] = [await started(), await started()]
    let runs = 0
    const write = async (tx: InboxTransaction, n: number, fails = false): Promise<void> => {
      runs++
      await tx.execute('INSERT INTO effects VALUES (?)', [n])
      await new Promise((resolve) => setTimeout(resolve, 50))
      if (fails) throw new Error('no')
    }
    const both = [one, two].map((each) => each.once({ group: 'g', id: 'm' }, (tx) => write(tx, 1)))
    expect((await Promise.all(both)).toSorted()).toEqual(['duplicate', 'handled'])
    expect([runs, await effects()]).toEqual([1, [1]])

    const failing = one.once({ group: 'g', id: 'other' }, (tx) => write(tx, 2, true))
    const waiting = two.once({ group: 'g', id: 'other' }, (tx) => write(tx, 3))
    const [first, second] = await Promise.allSettled([failing, waiting])
    // Whoever came first: the one that fails leaves nothing, the other is there once.
    expect(first.status === 'rejected' || second.status === 'fulfilled').toBe(true)
    expect(await effects()).toEqual([1, 3])
    for (const each of [one, two]) await each.stop()
  })

  test('the handler of a subscription works in its transaction', async () => {
    const bus = new EventBus(new MemoryBroker(), { logger: silentLogger })
    await bus.start()
    const write = async (n: number, tx: InboxTransaction): Promise<void> => {
      await tx.execute('INSERT INTO effects VALUES (?)', [n])
      if (n === 2) throw new Error('never')
    }
    const options = { group: 'g', inbox: make(), retry: { retries: 0, redeliveries: [] } }
    await bus.subscribe(Placed, ({ data: { n } }, { tx }) => write(n, tx), options)
    const messages = [1, 2, 3].map((n) => Placed.create({ n }))
    await bus.publish([...messages, ...messages])
    await bus.idle()
    expect(await effects()).toEqual([1, 3])
    await bus.stop()
  })

  test('a handler that swallowed the failure of its statement has not succeeded: nothing of it is there', async () => {
    const one = await started()
    const swallowing = one.once({ group: 'g', id: 'm' }, async (tx) => {
      await tx.execute('INSERT INTO effects VALUES (1)')
      await tx.execute('SELECT 1 / 0').catch(() => {})
    })
    const reason = await swallowing.catch((error: unknown) => error)
    expect(saidBy(reason)).toMatch(/25P02/)
    expect([await effects(), (await pool.query('SELECT * FROM busbar_inbox')).rows]).toEqual([[], []])
    await one.stop()
  })
})
