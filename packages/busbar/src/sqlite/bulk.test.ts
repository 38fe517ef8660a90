import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BULK_ROWS, bulkInsert } from './bulk.ts'
import { SqliteExecutor } from './executor.ts'

test('an INSERT of one row becomes one of many; nothing else is touched', () => {
  const bulk = bulkInsert('INSERT INTO log (a, b) VALUES (?, ?)') ?? ''
  expect(bulk).toMatch(/^INSERT OR ROLLBACK INTO log \(a, b\) VALUES \(\?, \?\), /)
  expect(bulk.split('?')).toHaveLength(BULK_ROWS * 2 + 1)
  for (const other of [
    'DELETE FROM log WHERE a = ?',
    'INSERT INTO log (a) VALUES (?) ON CONFLICT (a) DO NOTHING',
    'INSERT INTO log (a) SELECT a FROM other WHERE b = ?',
    'UPDATE log SET a = ?',
  ]) {
    expect(bulkInsert(other)).toBeUndefined()
  }
})

describe('many rows', () => {
  const INSERT = 'INSERT INTO log (n, text) VALUES (?, ?)'
  let executor: SqliteExecutor
  const rows = async (): Promise<unknown[]> => (await executor.all('SELECT n FROM log ORDER BY id')).map(({ n }) => n)

  beforeEach(async () => {
    executor = new SqliteExecutor({ file: ':memory:', synchronous: 'normal', busyTimeout: 1_000 })
    await executor.open()
    await executor.run(
      'CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER NOT NULL, text TEXT NOT NULL)',
    )
  })
  afterEach(() => executor.close())

  test.each([0, 1, BULK_ROWS - 1, BULK_ROWS, BULK_ROWS + 1, 3 * BULK_ROWS + 7])(
    '%i of them are all there, in their order',
    async (count) => {
      const list = Array.from({ length: count }, (_, n) => n)
      await executor.runMany(
        INSERT,
        list.map((n) => [n, `text ${n}`]),
      )
      expect(await rows()).toEqual(list)
    },
  )

  test('one that fails leaves nothing of its transaction, and the next one works', async () => {
    const list = Array.from({ length: 3 * BULK_ROWS }, (_, n) => [n, n === BULK_ROWS + 3 ? null : 'text'])
    const writing = executor.write(async (sql) => {
      await sql.run(INSERT, [-1, 'before'])
      await sql.runMany(INSERT, list)
    })
    await expect(writing).rejects.toThrow('NOT NULL')
    expect(await rows()).toEqual([])
    await executor.runMany(INSERT, list.slice(0, BULK_ROWS))
    expect(await rows()).toHaveLength(BULK_ROWS)
  })
})
