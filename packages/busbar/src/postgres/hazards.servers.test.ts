/** What Postgres does that a log must not suffer from: each hazard by name. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { partitionOf } from '../broker/partitioning.ts'
import { migrationsOf } from './migrations.ts'
import { ack, collector, insert, message, out, spec, until, World } from './fixtures/world.ts'

let world: World

beforeEach(() => (world = new World()))
afterEach(() => world.end())

const partition = partitionOf('k', 16)

test('a sequence gap skips nothing: what a transaction that is still open has drawn before comes first, in order by key', async () => {
  const broker = await world.broker()
  const { bodies, deliver } = collector()
  await broker.publish([out('0', 'k')])
  await broker.subscribe(spec(), deliver)
  await until(() => bodies().length === 1)
  const open = await world.client()
  await open.query('BEGIN')
  const first = await insert(open, '1', 'k', partition)
  const other = await world.client()
  const second = await insert(other, '2', 'k', partition)
  expect(second > first).toBe(true)
  await broker.publish([out('3', 'k')])
  // What came later is committed and told to everybody; it has to wait all the same.
  await until(async () => (await broker.metrics()).heldBack?.messages === 2)
  await sleep(100)
  expect(bodies()).toEqual(['0'])
  await open.query('COMMIT')
  await until(() => bodies().length === 4)
  expect(bodies()).toEqual(['0', '1', '2', '3'])
})

test('a sequence gap of a transaction that is rolled back holds up nothing for ever', async () => {
  const broker = await world.broker()
  const { bodies, deliver } = collector()
  await broker.publish([out('0', 'k')])
  await broker.subscribe(spec(), deliver)
  const open = await world.client()
  await open.query('BEGIN')
  await insert(open, 'never', 'k', partition)
  await broker.publish([out('1', 'k')])
  await open.query('ROLLBACK')
  await until(() => bodies().length === 2)
  expect(bodies()).toEqual(['0', '1'])
})

test('a broadcast member skips no gap either', async () => {
  const broker = await world.broker()
  await broker.publish([out('0', 'k')])
  const { bodies, deliver } = collector()
  await broker.subscribe(spec({ broadcast: true, from: 'latest' }), deliver)
  const open = await world.client()
  await open.query('BEGIN')
  await insert(open, '1', 'k', partition)
  await broker.publish([out('2', 'k')])
  await until(async () => (await broker.metrics()).heldBack?.messages === 1)
  await sleep(100)
  expect(bodies()).toEqual([])
  await open.query('COMMIT')
  await until(() => bodies().length === 2)
  expect(bodies()).toEqual(['1', '2'])
})

test('held back by: the metrics tell how many messages wait for whom, and since when', async () => {
  const broker = await world.broker()
  await broker.publish([out('0', 'k')])
  const open = await world.client()
  await open.query(`SET application_name TO 'nightly report'`)
  await open.query('BEGIN')
  const { rows } = await open.query<{ pid: number; since: number }>(
    `SELECT pg_backend_pid() AS pid, (extract(epoch FROM now()) * 1000)::float8 AS since, pg_current_xact_id()`,
  )
  await broker.publish([out('1', 'k'), out('2')])
  const told = async () => (await broker.metrics()).heldBack
  // Older transactions of others on the server, of its other databases too, hold back before this one, for as long as they take.
  await until(async () => (await told())?.by.includes(`process ${rows[0]?.pid} `) === true)
  const heldBack = await told()
  expect(heldBack?.messages).toBe(2)
  expect(heldBack?.by).toMatch(/application nightly report.*state idle in transaction/)
  expect(Math.abs((heldBack?.since ?? 0) - (rows[0]?.since ?? 0))).toBeLessThan(2)
  await open.query('COMMIT')
  await until(async () => (await broker.metrics()).heldBack === undefined)
})

test('held back: lag counts what waits, and depth is right when it goes on', async () => {
  const broker = await world.broker()
  const { bodies, deliver } = collector()
  const one = spec()
  await broker.publish([out('0', 'k')])
  await broker.subscribe(one, deliver)
  await until(() => bodies().length === 1)
  const open = await world.client()
  await open.query('BEGIN')
  await insert(open, '1', 'k', partition)
  await broker.publish(Array.from({ length: 1_500 }, () => out('2', 'k')))
  const lag = async (): Promise<unknown> =>
    (await broker.metrics()).groups.find(({ group }) => group === one.group)?.lag
  expect(await lag()).toBe(1_500)
  await open.query('COMMIT')
  await until(() => bodies().length === 1_502)
  expect((await broker.metrics()).topics).toEqual([{ topic: 'events', depth: 1_502, delayed: 0 }])
  await until(async () => (await lag()) === 0)
})

test('a new group does not miss what is being committed while it begins, and sees nothing of before', async () => {
  const broker = await world.broker()
  await broker.publish([out('before', 'k')])
  const open = await world.client()
  await open.query('BEGIN')
  await insert(open, 'during', 'k', partition)
  // Behind the open one in the log, and confirmed before the group begins.
  await broker.publish([out('before', 'k')])
  const { bodies, deliver } = collector()
  let begun = false
  const subscribed = broker.subscribe(spec({ from: 'latest' }), deliver).then(() => (begun = true))
  await sleep(200)
  expect(begun, 'it waits for what is open').toBe(false)
  await open.query('COMMIT')
  await subscribed
  await broker.publish([out('after', 'k')])
  await until(() => bodies().includes('after'))
  expect(bodies()).toEqual(['after'])
})

test('a new group does not wait for ever for a transaction that stays open, and misses nothing of it', async () => {
  const broker = await world.broker()
  await broker.publish([out('before', 'k')])
  const open = await world.client()
  await open.query('BEGIN')
  await insert(open, 'late', 'k', partition)
  await broker.publish([out('since', 'k')])
  const { bodies, deliver } = collector()
  await broker.subscribe(spec({ from: 'latest' }), deliver)
  await open.query('COMMIT')
  await until(() => bodies().length === 2)
  expect(bodies()).toEqual(['late', 'since'])
})

test('NOTIFY is only a hint: what nobody was notified of is found by polling', async () => {
  const broker = await world.broker({ pollInterval: 50 })
  const { bodies, deliver } = collector()
  await broker.publish([out('0', 'k')])
  await broker.subscribe(spec(), deliver)
  await until(() => bodies().length === 1)
  await insert(await world.client(), '1', 'k', partition)
  await until(() => bodies().length === 2)
  expect(bodies()).toEqual(['0', '1'])
})

test('NOTIFY as a hint: another process hears of it at once, and no notification tells more than who sent it', async () => {
  const [publisher, consumer] = [await world.broker(), await world.broker({ pollInterval: 600_000 })]
  const listener = await world.client()
  const payloads: string[] = []
  listener.on('notification', ({ payload = '' }) => payloads.push(payload))
  await listener.query(`LISTEN "busbar:${world.schema}"`)
  await publisher.publish([out('0', 'k')])
  const { bodies, deliver } = collector()
  await consumer.subscribe(spec(), deliver)
  await until(() => bodies().length === 1)
  const before = payloads.length
  // Far more than 8,000 bytes, and hundreds of publishes at once.
  await Promise.all(Array.from({ length: 300 }, (_, n) => publisher.publish([out(`${n}`.padEnd(1_000, ' '), 'k')])))
  await until(() => bodies().length === 301)
  await until(() => payloads.length > before)
  expect(payloads.length - before, 'they are coalesced').toBeLessThan(300)
  for (const payload of payloads) expect(payload).toMatch(/^[0-9a-f-]{36}$/)
})

test('several processes that start at once make the schema once', async () => {
  const brokers = Array.from({ length: 8 }, () => world.make())
  await Promise.all(brokers.map((broker) => broker.start()))
  for (const broker of brokers) expect(await broker.verify()).toEqual([])
  const client = await world.client()
  expect((await client.query('SELECT value FROM busbar_meta WHERE name = $1', ['schema'])).rows).toEqual([
    { value: String(migrationsOf(world.schema).length) },
  ])
})

test('a partition is claimed by one member, though several processes reach for it at once', async () => {
  const brokers = await Promise.all(Array.from({ length: 4 }, () => world.broker()))
  const one = spec()
  const all = collector()
  await Promise.all(brokers.map((broker) => broker.subscribe(one, all.deliver)))
  const sent = Array.from({ length: 400 }, (_, n) => out(String(n), `k${n % 40}`))
  for (let from = 0; from < sent.length; from += 20) await brokers[from % 4]?.publish(sent.slice(from, from + 20))
  await until(() => all.seen.length >= 400)
  await sleep(200)
  expect(all.seen).toHaveLength(400)
  const byKey = Map.groupBy(all.seen, (delivery) => delivery.message.key)
  for (const of of byKey.values()) {
    const numbers = of.map((delivery) => Number(delivery.message.body))
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
  }
})

test('delayed messages are moved once, though several processes see that their time has come', async () => {
  const brokers = await Promise.all(Array.from({ length: 4 }, () => world.broker({ pollInterval: 20 })))
  const one = spec()
  const all = collector()
  await Promise.all(brokers.map((broker) => broker.subscribe(one, all.deliver)))
  const deliverAt = Date.now() + 300
  await brokers[0]?.publish(Array.from({ length: 300 }, (_, n) => ({ ...out(String(n), 'k'), deliverAt })))
  await until(() => all.seen.length >= 300)
  await sleep(300)
  expect(all.bodies()).toEqual(Array.from({ length: 300 }, (_, n) => String(n)))
})

test('U+0000, which Postgres cannot keep, is refused before anything is sent; in an error of a handler it is replaced', async () => {
  const broker = await world.broker()
  await expect(broker.publish([out('fine'), out('a\0b')])).rejects.toThrow(/body.*U\+0000.*nothing was sent/s)
  const failure = {
    reason: 'failed' as const,
    error: { name: 'Error', message: 'bad \0 byte', stack: 'at \0' },
    handler: 'h',
    attempts: 1,
    firstFailedAt: 1,
    lastFailedAt: 2,
  }
  const { seen, deliver } = collector(() => ({ deadLetter: failure }))
  await broker.publish([out('{}', 'k')])
  await broker.subscribe(spec(), deliver)
  await until(async () => (await broker.deadLetters.count()) === 1)
  const [letter] = await broker.deadLetters.list()
  expect(letter?.failure.error).toMatchObject({ message: 'bad \uFFFD byte' })
  expect(seen).toHaveLength(1)
})

test('bodies of bytes and of text come back as they were, also those that look like the mark of bytes', async () => {
  const broker = await world.broker()
  const bodies = [
    'text',
    '\u0001',
    '\u0001AAEC',
    new Uint8Array([0, 1, 2, 255]),
    Buffer.from([1, 65]),
    new Uint8Array(),
    '',
  ]
  await broker.publish(bodies.map((body) => ({ topic: 'events', message: message('', { body, key: 'k' }) })))
  for (const body of bodies) await broker.publish([{ topic: 'events', message: message('', { body, key: 'k' }) }])
  const { seen, deliver } = collector()
  await broker.subscribe(spec(), deliver)
  await until(() => seen.length === 2 * bodies.length)
  const plain = (body: unknown): unknown => (typeof body === 'string' ? body : [...(body as Uint8Array)])
  expect(seen.map(({ message: { body } }) => plain(body))).toEqual([...bodies, ...bodies].map(plain))
})

test('a letter that is discarded while the one before it is acked leaves nobody parked behind them for ever', async () => {
  const [owner, operator] = [await world.broker(), await world.broker()]
  const one = spec({ onFailure: 'park', prefetch: 10 })
  const failing = new Set(['a'])
  const { bodies, deliver } = collector((delivery) => {
    if (!failing.has(delivery.message.body as string)) return ack
    const error = { name: 'Error', message: 'no' }
    return { deadLetter: { reason: 'failed', error, handler: 'h', attempts: 1, firstFailedAt: 1, lastFailedAt: 1 } }
  })
  await owner.subscribe(one, deliver)
  for (let round = 0; round < 10; round++) {
    await owner.publish([out('a', `k${round}`), out('b', `k${round}`), out('c', `k${round}`)])
    const filter = { group: one.group, key: `k${round}` }
    await until(async () => (await operator.deadLetters.count(filter)) === 3)
    const [dead, parked] = await operator.deadLetters.list(filter)
    await Promise.all([operator.deadLetters.discard([dead?.id ?? '']), owner.deadLetters.discard([parked?.id ?? ''])])
    await until(() => bodies().filter((body) => body === 'c').length === round + 1, `round ${round}`)
  }
  expect(await operator.deadLetters.count({ group: one.group })).toBe(0)
})

test('a deadlock with somebody who locks cursors in another order is no failure: a member that begins waits for its turn', async () => {
  const broker = await world.broker()
  const one = spec()
  const first = await broker.subscribe(one, collector().deliver)
  await first.stop()
  const other = await world.client()
  const lock = (which: 'min' | 'max'): Promise<unknown> =>
    other.query(
      `SELECT 1 FROM busbar_cursors WHERE grp = $1 AND partition = (SELECT ${which}(partition) FROM busbar_cursors WHERE grp = $1) FOR UPDATE`,
      [one.group],
    )
  await other.query('BEGIN')
  await lock('max')
  const starting = broker.subscribe(one, collector().deliver)
  const watcher = await world.client()
  await until(async () => {
    const { rows } = await watcher.query(
      `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND $1 = ANY (pg_blocking_pids(pid)::text[])`,
      [String((other as unknown as { processID: number }).processID)],
    )
    return rows.length > 0
  })
  // The member has the first and waits for the last: now each waits for the other. Mostly it is the one that Postgres ends, because it
  // was the first to wait; on a machine that is slow just now it may be this one.
  await lock('min').catch(() => {})
  await other.query('COMMIT')
  await expect(starting.then((member) => member.stop())).resolves.toBeUndefined()
})
