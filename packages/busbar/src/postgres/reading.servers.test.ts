/** One statement reads several partitions within its bytes, says what it must not read yet, and stores what it hands out. */
import { Client } from 'pg'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { EncodedMessage } from '../message/message.ts'
import type { Fetch, Next, Wanted } from '../sql/batched.ts'
import { messageAt } from '../sql/rows.ts'
import type { Topic } from '../sql/topics.ts'
import type { PostgresBroker } from './index.ts'
import { ack, collector, out, spec, until, World } from './fixtures/world.ts'

let world: World
let broker: PostgresBroker
let client: Client

beforeEach(async () => {
  world = new World()
  broker = await world.broker({ partitions: 1 })
  client = await world.client()
})

afterEach(async () => {
  vi.restoreAllMocks()
  await world.end()
})

const BODIES = ['0123456789', '1123456789', '2123456789', '3123456789', '4123456789']

/** Publishes, and waits for what others on this server have open. */
async function publish(bodies: readonly string[] = BODIES): Promise<void> {
  await broker.publish(bodies.map((body) => out(body, 'key')))
  await until(async () => (await readNext(1_000)).rows.length === bodies.length)
}

async function readNext(bytes: number, wish: Partial<Wanted> = {}): Promise<Next> {
  const { executor, dialect } = broker.log.context
  const wanted = { topic: 1, partition: 0, position: '', limit: 10, ...wish }
  const [next] = await dialect.readNext(executor, [wanted], () => false, bytes)
  return next as Next
}

function bodiesOf({ rows }: Next): unknown[] {
  return rows.map((row) => row[13])
}

test('a read ends with the message that fills the bytes, and says that there is more', async () => {
  await publish()
  const first = await readNext(25)
  expect(bodiesOf(first)).toEqual(BODIES.slice(0, 3))
  expect(first).toMatchObject({ more: true, held: false })
  const rest = await readNext(25, { position: first.rows.at(-1)?.[0] ?? '' })
  expect(bodiesOf(rest)).toEqual(BODIES.slice(3))
  expect(rest).toMatchObject({ more: false, held: false })
})

test('a message that is larger than the bytes is read alone; what fits is read up to the limit', async () => {
  await publish()
  expect(bodiesOf(await readNext(1))).toEqual(BODIES.slice(0, 1))
  const two = await readNext(1_000, { limit: 2 })
  expect(bodiesOf(two)).toEqual(BODIES.slice(0, 2))
  expect(two.more).toBe(true)
  expect(bodiesOf(await readNext(1_000))).toEqual(BODIES)
})

test('what an open transaction holds back is not read, and is told of, also behind what can be read', async () => {
  await publish(['before'])
  const writer = await world.client()
  await writer.query('BEGIN; SELECT pg_current_xact_id()')
  await broker.publish([out('behind', 'key')])
  const next = await readNext(1_000)
  expect(bodiesOf(next)).toEqual(['before'])
  expect(next).toMatchObject({ more: false, held: true })
  const position = next.rows.at(-1)?.[0] ?? ''
  expect(await readNext(1_000, { position })).toEqual({ rows: [], more: false, held: true })
  await writer.query('COMMIT')
  await until(async () => (await readNext(1_000, { position })).rows.length === 1)
})

test('a fetch stores exactly what it hands out, and nothing where the lease is another', async () => {
  await publish()
  await client.query(
    `INSERT INTO busbar_cursors (grp, topic, partition, position, token) VALUES ('group', 1, 0, '', 7)`,
  )
  const { executor, dialect } = broker.log.context
  const fetch = async (token: number, wish: Partial<Fetch> = {}) => {
    const lease = { group: 'group', topic: { id: 1 } as Topic, partition: 0, token }
    const wanted = { lease, position: '', open: '', expires: 1e13, limit: 10, dirty: false, ...wish }
    return (await dialect.fetch?.(executor, [wanted], 25))?.[0]
  }
  const cursor = async () =>
    (await client.query('SELECT position, open, expires FROM busbar_cursors')).rows[0] as object

  expect(await fetch(6)).toMatchObject({ stored: false })
  expect(await cursor()).toEqual({ position: '', open: '', expires: 0 })

  const found = await fetch(7, { open: 'earlier' })
  expect(found).toMatchObject({ stored: true, more: true, held: false })
  expect(bodiesOf(found as Next)).toEqual(BODIES.slice(0, 3))
  const positions = found?.rows.map(([position]) => position as string) ?? []
  const [last] = positions.slice(-1)
  expect(await cursor()).toEqual({ position: last, open: ['earlier', ...positions].join(' '), expires: 1e13 })

  // Nothing is read and the cursor is as it should be: it is not written.
  const end = { position: '9', open: '' }
  expect(await fetch(7, end)).toMatchObject({ rows: [], stored: false })
  expect(await fetch(7, { ...end, dirty: true, limit: 0 })).toMatchObject({ rows: [], stored: true })
  expect(await cursor()).toMatchObject({ position: '9', open: '' })
})

test('a member of the publishing process reads a message before other processes are told of it', async () => {
  let handled = 0
  const deliver = () => {
    handled++
    return ack
  }
  await broker.subscribe(spec({ group: 'readers' }), deliver)
  const first: string[] = []
  const query = vi.spyOn(Client.prototype, 'query')
  const texts = (): readonly string[] =>
    query.mock.calls.map(([config]) => (config as { readonly text?: string }).text ?? '')
  for (let n = 0; n < 20; n++) {
    query.mockClear()
    await broker.publish([out(String(n))])
    await until(() => handled > n && texts().some((text) => text.includes('pg_notify')))
    const isEither = (text: string): boolean => text.includes('pg_notify') || text.includes('UPDATE busbar_cursors')
    first.push(texts().find(isEither) ?? '')
    // Processes are told every 5 ms at most; what waits for that comes after the reading anyway.
    const told = performance.now()
    await until(() => performance.now() > told + 5)
  }
  // A member may be busy with something else now and then.
  expect(first.filter((text) => text.includes('pg_notify')).length).toBeLessThan(first.length / 2)
})

/** Reads them as they are in the log, then has them handed out: many at once, and one that comes alone. */
async function expectAsWritten(...attributes: readonly Partial<EncodedMessage>[]): Promise<void> {
  const sent = attributes.map((some) => {
    const outgoing = out('body', 'key')
    return { ...outgoing, message: { ...outgoing.message, ...some } }
  })
  const plain = (message: EncodedMessage): EncodedMessage => {
    const { body } = message
    return body instanceof Uint8Array ? { ...message, body: Uint8Array.from(body) } : message
  }
  await broker.publish(sent)
  await until(async () => (await readNext(10_000)).rows.length === sent.length)
  const read = (await readNext(10_000)).rows.map((row) => messageAt(row, 1))
  const published = sent.map(({ message }) => message)
  expect(read.map(plain)).toEqual(published)

  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await until(() => seen.length === sent.length)
  for (const one of sent) {
    await broker.publish([one])
    await until(() => seen.length === published.length + 1)
    published.push(one.message)
  }
  expect(seen.map(({ message }) => plain(message))).toEqual(published)
}

test('what is read is what was written, whatever is in it or absent', async () => {
  await expectAsWritten(
    {},
    { subject: '', key: '', source: '\u001e', priority: 'high', revision: 0 },
    { subject: 'ä', key: '日本', source: '😀;😀', metadata: { correlationId: 'ñ', traceparent: '😀 1' } },
    { subject: '\u0001', key: '\u0001\u0001two', source: '-7', version: 12, revision: Number.MAX_SAFE_INTEGER },
    { time: new Date(-1), body: Uint8Array.of(0, 255, 1), contentType: 'application/octet-stream' },
    { type: '\u0001YWJj', source: '\u0001', body: '\u0001text 😀' },
    { type: '', source: '', contentType: '', body: '' },
  )
})

test('also where values hold what stands between them', async () => {
  await expectAsWritten(
    { subject: 'with\u001fone', type: '\u001f', key: '\u001f\u001f', source: '' },
    { contentType: '\u001f', key: '\u0001\u001f' },
    {},
  )
})
