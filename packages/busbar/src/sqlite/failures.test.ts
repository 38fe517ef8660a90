import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { BrokerError } from '../broker/index.ts'
import { ConfigurationError, MessageTooLargeError } from '../message/errors.ts'
import {
  collect,
  connectionOf,
  eventually,
  numbered,
  outgoing,
  quiet,
  scratchFile,
  started,
} from './fixtures/scratch.ts'
import { SqliteBroker, SqliteError } from './index.ts'

const failureOf = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error)

async function failure(work: () => Promise<unknown>): Promise<SqliteError> {
  const error = await work().then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(SqliteError)
  expect(error).toBeInstanceOf(BrokerError)
  return error as SqliteError
}

describe('a file that cannot be used', () => {
  test('that is no database is refused with its name and what to do, and is left as it is', async () => {
    const file = scratchFile()
    const text = 'These are the minutes of the meeting of 3 May. '.repeat(40)
    writeFileSync(file, text)
    const error = await failure(() => new SqliteBroker({ file }).start())
    expect(error.code).toBe('SQLITE_NOTADB')
    expect(error.message).toContain(file)
    expect(error.message).toContain('it is not an SQLite database')
    expect(readFileSync(file, 'utf8')).toBe(text)
  })

  test('in a folder that does not exist', async () => {
    const file = join(dirname(scratchFile()), 'nowhere', 'bus.db')
    const error = await failure(() => new SqliteBroker({ file }).start())
    expect(error.code).toBe('SQLITE_CANTOPEN')
    expect(error.message).toContain(file)
    expect(error.message).toContain('folder')
  })

  test('that is a folder', async () => {
    const file = join(dirname(scratchFile()), 'folder')
    mkdirSync(file)
    const error = await failure(() => new SqliteBroker({ file }).start())
    expect(error.message).toContain(file)
  })

  test('that may only be read: start says so', async () => {
    const file = scratchFile()
    new DatabaseSync(file).exec('CREATE TABLE mine (a)')
    const url = new URL(`${pathToFileURL(file).href}?mode=ro`)
    const error = await failure(() => new SqliteBroker({ file: url }).start())
    expect(error.code).toBe('SQLITE_READONLY')
    expect(error.message).toContain('permissions')
  })

  test('that another process keeps locked: after busyTimeout an error names the file; the event loop was free', async () => {
    const file = scratchFile()
    const broker = await started({ file, busyTimeout: 300 })
    await broker.publish([outgoing()])
    const other = new DatabaseSync(file)
    onTestFinished(() => other.close())
    other.exec('BEGIN IMMEDIATE')
    let turns = 0
    const timer = setInterval(() => turns++, 5)
    const error = await failure(() => broker.publish([outgoing()]))
    clearInterval(timer)
    expect(error.code).toBe('SQLITE_BUSY')
    expect(error.message).toContain(file)
    expect(turns).toBeGreaterThan(2)
    other.exec('ROLLBACK')
    await broker.publish([outgoing()])
    expect((await broker.metrics()).topics[0]?.depth).toBe(2)
  })

  test('whose lock is given back in time costs nothing but the wait', async () => {
    const file = scratchFile()
    const broker = await started({ file })
    await broker.publish([outgoing({ body: 'first' })])
    const other = new DatabaseSync(file)
    onTestFinished(() => other.close())
    other.exec('BEGIN IMMEDIATE')
    const published = broker.publish([outgoing({ body: 'second' })])
    setTimeout(() => other.exec('COMMIT'), 150)
    await published
    const { bodies } = await collect(broker)
    await eventually(() => bodies.length === 2, 'both messages')
    expect(bodies.toSorted()).toEqual(['first', 'second'])
  })
})

test('on a full disk publishing fails with an error that says so, and nothing confirmed is lost', async () => {
  const file = scratchFile()
  const broker = await started({ file })
  await broker.publish([outgoing()])
  // The limit belongs to the connection, so it is set on the broker's own.
  await connectionOf(broker).all('PRAGMA max_page_count = 60')
  let confirmed = 1
  const error = await failure(async () => {
    for (;;) {
      await broker.publish([outgoing({ key: String(confirmed), body: 'x'.repeat(2_000) })])
      confirmed++
    }
  })
  expect(error.code).toBe('SQLITE_FULL')
  expect(error.message).toContain(file)
  expect(error.message).toContain('make room')
  await connectionOf(broker).all('PRAGMA max_page_count = 100000')
  const { deliveries } = await collect(broker)
  await eventually(() => deliveries.length === confirmed, `${confirmed} confirmed messages`)
  await broker.publish([outgoing()])
  await eventually(() => deliveries.length === confirmed + 1, 'one more after there was room again')
})

test('a consumer survives a database that fails for a while: everything comes, and nothing twice', async () => {
  const file = scratchFile()
  const errors: object[] = []
  const broker = await started({ file, logger: { warn() {}, error: (fields) => errors.push(fields) } })
  const { deliveries } = await collect(broker, { prefetch: 5 })
  const other = new DatabaseSync(file)
  onTestFinished(() => other.close())
  other.exec(`CREATE TRIGGER broken BEFORE UPDATE ON busbar_cursors WHEN NEW.open <> OLD.open
    BEGIN SELECT RAISE(ABORT, 'the disk is on fire'); END`)
  await broker.publish(numbered(50, 5))
  await eventually(() => errors.length >= 2, 'two failed attempts')
  expect(deliveries).toEqual([])
  expect(JSON.stringify(errors[0])).toContain('the disk is on fire')
  other.exec('DROP TRIGGER broken')
  await eventually(() => deliveries.length >= 50, '50 deliveries')
  expect(new Set(deliveries.map((one) => one.message.id)).size).toBe(50)
  expect(deliveries.length).toBe(50)
})

test('tables of a newer Busbar are refused and not touched', async () => {
  const file = scratchFile()
  await (await started({ file })).stop()
  const database = new DatabaseSync(file)
  database.exec(`UPDATE busbar_meta SET value = '999' WHERE name = 'schema'`)
  const broker = new SqliteBroker({ file })
  await expect(broker.start()).rejects.toThrow(/newer Busbar.*Update busbar/)
  expect(database.prepare(`SELECT value FROM busbar_meta WHERE name = 'schema'`).get()).toEqual({ value: '999' })
  database.close()
})

test('a stop ends a start that waits for a lock', async () => {
  const file = scratchFile()
  const other = new DatabaseSync(file)
  other.exec('PRAGMA journal_mode = WAL; BEGIN IMMEDIATE; CREATE TABLE mine (id)')
  const broker = new SqliteBroker({ file, busyTimeout: 3_600_000 })
  const failed = failureOf(broker.start())
  await sleep(100)
  await broker.stop()
  expect(String(await failed)).toMatch(/the sqlite broker of .* was stopped; make another one/)
  other.close()
})

test('a stop ends by its deadline though somebody else keeps the lock of the file', async () => {
  const file = scratchFile()
  const broker = await started({ file, busyTimeout: 3_600_000 })
  const { bodies } = await collect(broker)
  await broker.publish([outgoing()])
  await eventually(() => bodies.length === 1, 'the message')
  const other = new DatabaseSync(file)
  other.exec('BEGIN IMMEDIATE')
  await broker.stop({ deadline: 100 })
  await expect(broker.publish([outgoing()])).rejects.toThrow(/was stopped/)
  other.close()
})

test('Busbar lives beside the tables of an application in one file', async () => {
  const file = scratchFile()
  const database = new DatabaseSync(file)
  database.exec('PRAGMA user_version = 7; CREATE TABLE messages (id TEXT)')
  const broker = await started({ file })
  await broker.publish([outgoing()])
  expect(database.prepare('PRAGMA user_version').get()).toEqual({ user_version: 7 })
  expect(database.prepare('SELECT COUNT(*) AS n FROM messages').get()).toEqual({ n: 0 })
  database.close()
})

test('a message over the limit is refused with its size, and nothing of its batch is sent', async () => {
  const broker = await started({ file: scratchFile() })
  const large = 'x'.repeat(broker.capabilities.maxMessageBytes + 1)
  await expect(broker.publish([outgoing(), outgoing({ body: large })])).rejects.toThrow(MessageTooLargeError)
  await expect(broker.publish([outgoing({ body: large })])).rejects.toThrow(/16777217 bytes/)
  expect((await broker.metrics()).topics).toEqual([])
})

test.for([
  [{ file: '' }, 'file'],
  [{ lease: 0 }, 'lease'],
  [{ partitions: 0 }, 'partitions'],
  [{ partitions: 2.5 }, 'partitions'],
  [{ pollInterval: -1 }, 'pollInterval'],
  [{ busyTimeout: Number.NaN }, 'busyTimeout'],
  [{ retention: { maxAge: -1 } }, 'retention.maxAge'],
  [{ synchronous: 'extra' as 'full' }, 'synchronous'],
] as const)('an option that makes no sense is refused with its name: %o', ([options, name]) => {
  expect(() => new SqliteBroker({ file: 'x.db', logger: quiet, ...options })).toThrow(ConfigurationError)
  expect(() => new SqliteBroker({ file: 'x.db', ...options })).toThrow(name)
})
