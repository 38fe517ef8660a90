import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import type { Broker } from '../broker/index.ts'
import { EventBus, silentLogger } from '../bus/index.ts'
import { HybridBroker } from '../hybrid/index.ts'
import { MemoryBroker } from '../memory/index.ts'
import { event as contract, typed } from '../message/index.ts'
import { KeepingBroker } from '../persistence/index.ts'
import { ConcurrencyError, type EventStorage, TransactionError } from '../store/index.ts'
import { TransactionClosedError } from '../transaction/errors.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { all, event, storageOf, to } from './fixtures/events.ts'
import { collect, eventually, outgoing, quiet, scratchFile, started } from './fixtures/scratch.ts'

const Ticked = contract('Ticked', typed<object>())

/** A connection of the user's own. */
function open(file: string): { readonly db: DatabaseSync; readonly tx: Transaction } {
  const db = new DatabaseSync(file)
  onTestFinished(() => {
    if (db.isOpen) db.close()
  })
  const tx: Transaction = {
    dialect: 'sqlite',
    execute: async (sql, params = []) => db.prepare(sql).all(...(params as SQLInputValue[])),
  }
  return { db, tx }
}

test('an append in a transaction of the user is there exactly if it is committed, and reaches the groups then', async () => {
  const file = scratchFile()
  const broker = await started({ file })
  const storage = await storageOf({ broker })
  const { bodies } = await collect(broker)
  const { db, tx } = open(file)
  db.exec('CREATE TABLE orders (id TEXT PRIMARY KEY)')

  db.exec('BEGIN')
  db.exec(`INSERT INTO orders VALUES ('1')`)
  expect(await storage.append(to('order-1', [event({ body: 'undone' })], 'none'), { tx })).toMatchObject([
    { revision: 0 },
  ])
  db.exec('ROLLBACK')
  expect((await storage.info('order-1')).revision).toBe(-1)

  db.exec('BEGIN')
  db.exec(`INSERT INTO orders VALUES ('1')`)
  const events = [event({ body: 'kept', key: 'k' }), event({ body: new Uint8Array([1, 2]), key: 'k' })]
  await storage.append(to('order-1', events, 'none'), { tx })
  await expect(
    storage.append(to('order-1', [event()], 'none'), { tx }),
    'refused, and the rest goes on',
  ).rejects.toThrow(ConcurrencyError)
  expect(await storage.append(to('order-1', events), { tx })).toMatchObject([{ revision: 1, repeated: true }])
  await storage.append(to('order-1', [event({ body: 'third', key: 'k' })], 1), { tx })
  expect(await all(storage.readAll()), 'not before the commit').toEqual([])
  expect(bodies).toEqual([])
  db.exec('COMMIT')
  const read = await all(storage.readAll())
  expect(read.map((one) => one.revision)).toEqual([0, 1, 2])
  expect(read.slice(0, 2).map((one) => one.message)).toEqual(events.map((one) => one.message))
  await eventually(() => bodies.length === 3, 'the group')
  expect(bodies).toEqual(['kept', '1,2', 'third'])
})

test('a transaction that is over, or of another database, is refused and nothing is written', async () => {
  const file = scratchFile()
  const storage = await storageOf({ file, logger: quiet })
  const { db, tx } = open(file)
  db.exec('BEGIN')
  db.exec('COMMIT')
  await expect(storage.append(to('order-1', [event()]), { tx })).rejects.toThrow(TransactionClosedError)
  expect(db.isTransaction, 'nothing is left open').toBe(false)
  await expect(storage.append(to('order-1', [event()]), { tx: { ...tx, dialect: 'postgres' } })).rejects.toThrow(
    TransactionError,
  )
  const other = open(scratchFile())
  other.db.exec('BEGIN')
  await expect(storage.append(to('order-1', [event()]), { tx: other.tx })).rejects.toThrow(/has no log of Busbar/)
  other.db.close()
  await expect(storage.append(to('order-1', [event()]), { tx: other.tx })).rejects.toThrow(TransactionError)
  expect((await storage.info('order-1')).revision).toBe(-1)
})

test('what an inline function writes is there exactly if the events are', async () => {
  const file = scratchFile()
  const storage = await storageOf({ file, logger: quiet })
  const { db } = open(file)
  db.exec('CREATE TABLE totals (stream TEXT PRIMARY KEY, revision INTEGER)')
  const totals = (): unknown[] =>
    db
      .prepare('SELECT * FROM totals')
      .all()
      .map((row) => ({ ...row }))
  const inline: Parameters<typeof storage.append>[1] = {
    inline: async (tx, stored) => {
      for (const { stream, revision } of stored) {
        await tx.execute(
          'INSERT INTO totals VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET revision = excluded.revision',
          [stream, revision],
        )
      }
    },
  }
  const events = [event(), event()]
  await storage.append(to('order-1', events, 'none'), inline)
  expect(totals()).toEqual([{ stream: 'order-1', revision: 1 }])
  let kept: Transaction | undefined
  const failing = storage.append(to('order-1', [event()], 1), {
    inline: async (tx, stored) => {
      kept = tx
      await inline?.inline?.(tx, stored)
      throw new RangeError('no')
    },
  })
  await expect(failing).rejects.toThrow(RangeError)
  expect(totals()).toEqual([{ stream: 'order-1', revision: 1 }])
  expect((await storage.info('order-1')).revision).toBe(1)
  await expect(kept?.execute('DELETE FROM totals')).rejects.toThrow(TransactionError)
  const again = await storage.append(to('order-1', events), {
    inline: () => Promise.reject(new Error('not for repetitions')),
  })
  expect(again).toMatchObject([{ repeated: true }])
})

test('a checkpoint is advanced in a transaction of the user, if the claim is still held', async () => {
  const file = scratchFile()
  const { checkpoints } = await storageOf({ file, logger: quiet })
  const { db, tx } = open(file)
  const claim = await checkpoints.claim('totals', 'a', 60_000)
  if (claim === undefined) throw new Error('nobody else has it')
  db.exec('BEGIN')
  expect(await checkpoints.advanceIn(tx, claim, '0000000000000007')).toBe(true)
  db.exec('ROLLBACK')
  expect((await checkpoints.get('totals'))?.position).toBe('')
  db.exec('BEGIN')
  expect(await checkpoints.advanceIn(tx, claim, '0000000000000007')).toBe(true)
  db.exec('COMMIT')
  expect((await checkpoints.get('totals'))?.position).toBe('0000000000000007')
  await checkpoints.release(claim)
  await checkpoints.claim('totals', 'b', 60_000)
  db.exec('BEGIN')
  expect(await checkpoints.advanceIn(tx, claim, '0000000000000008')).toBe(false)
  db.exec('COMMIT')
  await expect(checkpoints.advanceIn(tx, claim, '0000000000000008')).rejects.toThrow(TransactionClosedError)
})

test('appends, publishes and checkpoints of one transaction that are not awaited are one after the other: what is refused takes nothing else back', async () => {
  const file = scratchFile()
  const broker = await started({ file })
  const storage = await storageOf({ broker })
  const { bodies } = await collect(broker)
  const { db, tx: quick } = open(file)
  const statements: string[] = []
  const tx: Transaction = {
    dialect: 'sqlite',
    // As over a network: others have their turn between two statements.
    execute: async (sql, params) => {
      await new Promise((resolve) => setImmediate(resolve))
      statements.push(sql)
      return quick.execute(sql, params)
    },
  }
  const claim = await storage.checkpoints.claim('totals', 'a', 60_000)
  if (claim === undefined) throw new Error('nobody else has it')
  db.exec('BEGIN')
  const outcomes = await Promise.allSettled([
    storage.append(to('order-1', [event({ body: 'first' })], 'none'), { tx }),
    broker.publishIn(tx, [outgoing({ body: 'second' })]),
    storage.append(to('order-1', [event({ body: 'refused' })], 'none'), { tx }),
    storage.checkpoints.advanceIn(tx, claim, '0000000000000007'),
    broker.publishIn(tx, [outgoing({ body: 'third' })]),
    storage.append(to('order-1', [event({ body: 'fourth' })], 0), { tx }),
  ])
  db.exec('COMMIT')
  expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual([true, true, false, true, true, true])
  const savepoints = statements.filter((sql) => sql.includes('SAVEPOINT'))
  // One is over before the next begins.
  for (const [index, sql] of savepoints.entries()) {
    if (sql.startsWith('SAVEPOINT') && index > 0) expect(savepoints[index - 1]).toMatch(/^RELEASE/)
  }
  expect((await all(storage.readStream('order-1'))).map((one) => one.message.body)).toEqual(['first', 'fourth'])
  expect((await storage.checkpoints.get('totals'))?.position).toBe('0000000000000007')
  await eventually(() => bodies.length === 4, 'the group')
  expect(bodies.toSorted()).toEqual(['first', 'fourth', 'second', 'third'])
})

test.for<[string, (broker: Broker, storage: EventStorage) => Broker]>([
  ['SQLite', (broker) => broker],
  ['a hybrid', (broker) => new HybridBroker({ local: new MemoryBroker(), remote: broker })],
  ['a broker whose store is in that file', (_, storage) => new KeepingBroker({ broker: new MemoryBroker(), storage })],
])(
  'inside an inline function, a publish to %s that others wait with in one batch is refused at once, too',
  async ([, over]) => {
    const broker = await started({ file: scratchFile() })
    const storage = await storageOf({ broker })
    const bus = new EventBus(over(broker, storage), { logger: silentLogger })
    await bus.start()
    const publish = (): Promise<void> => bus.publish(Ticked.create({}))
    const [begun, called] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let reason: unknown
    const appending = storage.append(to('order-1', [event()]), {
      inline: async () => {
        begun.resolve()
        await called.promise
        reason = await publish().catch((error: unknown) => error)
      },
    })
    await begun.promise
    // These wait for the append to end: the file has one writer.
    const others = [publish(), publish()]
    called.resolve()
    await appending
    await Promise.all(others)
    expect(reason).toBeInstanceOf(TransactionError)
    expect(String(reason)).toMatch(
      /^TransactionError: publish was called inside a function that runs in the transaction of an append/,
    )
    await bus.stop()
  },
)

test('inside an inline function, what would wait for the append that it is part of is refused at once, and the storage goes on', async () => {
  const broker = await started({ file: scratchFile() })
  const storage = await storageOf({ broker })
  await storage.append(to('order-1', [event()], 'none'))
  const calls: Record<string, () => Promise<unknown>> = {
    append: () => storage.append(to('order-2', [event()])),
    'append with inline': () => storage.append(to('order-2', [event()]), { inline: () => Promise.resolve() }),
    deleteStream: () => storage.deleteStream('order-1'),
    truncateBefore: () => storage.truncateBefore('order-1', 1),
    readStream: () => all(storage.readStream('order-1')),
    readAll: () => all(storage.readAll()),
    info: () => storage.info('order-1'),
    head: () => storage.head(),
    claim: () => storage.checkpoints.claim('totals', 'a', 60_000),
    publish: () => broker.publish([outgoing()]),
    'publish many': () => broker.publish([outgoing(), outgoing()]),
  }
  for (const [name, call] of Object.entries(calls)) {
    let reason: unknown
    await storage.append(to('order-1', [event()]), {
      inline: async () => {
        reason = await call().catch((error: unknown) => error)
      },
    })
    expect(reason, name).toBeInstanceOf(TransactionError)
    expect(String(reason), name).toMatch(
      /wait for itself for ever. Give it the transaction that the function was given/,
    )
  }
  const kept = (): Promise<unknown> => all(storage.readStream('order-1'))
  expect(await kept()).toHaveLength(1 + Object.keys(calls).length)
  expect((await storage.info('order-2')).revision).toBe(-1)

  // What goes on behind it is outside again, whoever has the file just then.
  let later: Promise<unknown> | undefined
  await storage.append(to('order-1', [event()]), {
    inline: async () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      setTimeout(resolve, 1)
      later = promise.then(() => Promise.all([kept(), storage.append(to('order-3', [event()])), kept()]))
    },
  })
  await later
  expect((await storage.info('order-3')).revision).toBe(0)
})
