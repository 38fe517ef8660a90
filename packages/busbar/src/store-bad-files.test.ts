import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { all, OrderPlaced } from './eventstore/fixtures/orders.ts'
import { SqliteError, TablesError } from './sqlite/index.ts'
import { createEventStore } from './store-factory.ts'

const STREAMS = 40
const NOTE = 'n'.repeat(20_000)

function scratchFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'busbar-bad-file-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'orders.db')
}

const opened = (file: string) => createEventStore(`sqlite:${file}`, { contracts: [OrderPlaced] }, {})

async function filled(file: string): Promise<void> {
  await using store = await opened(file)
  for (let n = 0; n < STREAMS; n++) {
    await store.append(
      `order-${n}`,
      [1, 2].map((total) => OrderPlaced.create({ total, note: NOTE })),
    )
  }
}

/** Why the file is refused; it is as it was, and there is nothing beside it. */
async function refusal(file: string): Promise<unknown> {
  const before = readFileSync(file)
  const reason: unknown = await opened(file).then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(readFileSync(file).equals(before)).toBe(true)
  expect(readdirSync(join(file, '..'))).toEqual(['orders.db'])
  return reason
}

test('a file that is no database is refused', async () => {
  const file = scratchFile()
  writeFileSync(file, 'These are the minutes of the meeting of 3 May. '.repeat(200))
  const error = await refusal(file)
  expect(error).toBeInstanceOf(SqliteError)
  expect(error).toMatchObject({ code: 'SQLITE_NOTADB', file })
  expect(String(error)).toContain('give the path of another file')
})

test.for<[string, (file: string) => void]>([
  ['cut off', (file) => truncateSync(file, 3 * 4096)],
  ['damaged where its tables are listed', (file) => overwrite(file, 100, 4096)],
])('a database that is %s is refused', async ([, damage]) => {
  const file = scratchFile()
  await filled(file)
  damage(file)
  const error = await refusal(file)
  expect(error).toBeInstanceOf(SqliteError)
  expect(error).toMatchObject({ code: 'SQLITE_CORRUPT', file })
  expect(String(error)).toContain('restore a backup')
})

test('of a database that is damaged in the middle each stream is read whole or with an error, and nothing is appended by halves', async () => {
  const file = scratchFile()
  await filled(file)
  const { length } = readFileSync(file)
  overwrite(file, Math.floor(length / 3 / 4096) * 4096, Math.floor(length / 2))
  await using store = await opened(file)
  let whole = 0
  for (let n = 0; n < STREAMS; n++) {
    const stream = `order-${n}`
    const read = await store.getEvents(stream).catch((error: unknown) => error)
    if (read instanceof Error) expect(read).toMatchObject({ name: 'SqliteError', code: 'SQLITE_CORRUPT', file })
    else {
      whole++
      expect((read as readonly { data: unknown }[]).map(({ data }) => data)).toEqual([
        { total: 1, note: NOTE },
        { total: 2, note: NOTE },
      ])
    }
  }
  expect(whole).toBeGreaterThan(0)
  expect(whole).toBeLessThan(STREAMS)
  await expect(all(store.readAll())).rejects.toThrow(SqliteError)
  const pair = [1, 2].map((total) => OrderPlaced.create({ total }))
  const appended = await store.append('order-new', pair).catch((error: unknown) => error)
  if (appended instanceof Error) expect(appended).toBeInstanceOf(SqliteError)
  expect(await store.getEvents('order-new')).toHaveLength(appended instanceof Error ? 0 : 2)
})

test.for<[string, string]>([
  ['busbar_messages', 'CREATE TABLE busbar_messages (mine)'],
  ['busbar_topics', 'CREATE VIEW busbar_topics AS SELECT 1 AS mine'],
  ['busbar_meta', 'CREATE TABLE busbar_meta (mine)'],
  ['busbar_meta', 'CREATE TABLE busbar_meta (name, value)'],
  ['busbar_meta', `CREATE TABLE busbar_meta (name, value); INSERT INTO busbar_meta VALUES ('schema', 'mine')`],
])('a database of another program that has a %s of its own is refused: %s', async ([name, sql]) => {
  const file = scratchFile()
  const db = new DatabaseSync(file)
  db.exec(sql)
  db.close()
  const error = await refusal(file)
  expect(error).toBeInstanceOf(TablesError)
  expect(String(error)).toMatch(new RegExp(`${file}.* ${name} that is not Busbar's.*another database`))
})

test('a database that lacks some of the tables is refused before anything is written', async () => {
  const file = scratchFile()
  await filled(file)
  const db = new DatabaseSync(file)
  db.exec('DROP TABLE busbar_streams; DROP TABLE busbar_notes')
  db.close()
  const error = await refusal(file)
  expect(error).toBeInstanceOf(TablesError)
  expect(String(error)).toMatch(/lacks busbar_notes, busbar_streams.*Restore a whole backup/)
})

test('a database of a newer Busbar is refused', async () => {
  const file = scratchFile()
  await filled(file)
  const db = new DatabaseSync(file)
  db.exec(`UPDATE busbar_meta SET value = '99' WHERE name = 'schema'`)
  db.close()
  const error = await refusal(file)
  expect(error).toBeInstanceOf(TablesError)
  expect(String(error)).toMatch(/version 99.*newer Busbar.*Update busbar/)
})

test('a database of an application, with other names, is shared', async () => {
  const file = scratchFile()
  const db = new DatabaseSync(file)
  db.exec('CREATE TABLE messages (mine); INSERT INTO messages VALUES (7)')
  await filled(file)
  expect(db.prepare('SELECT mine FROM messages').all()).toEqual([{ mine: 7 }])
  db.close()
})

/** From one offset to another: bytes that mean nothing. */
function overwrite(file: string, from: number, to: number): void {
  const bytes = readFileSync(file)
  for (let at = from; at < to; at++) bytes[at] = (at * 31) % 251
  writeFileSync(file, bytes)
}
