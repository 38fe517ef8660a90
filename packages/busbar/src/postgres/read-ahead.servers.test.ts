/** What is read before there is room for it stays between the log and memory: nobody is promised more or less by it. */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Delivery, Outgoing, Verdict } from '../broker/index.ts'
import { ack, out, spec, until, World } from './fixtures/world.ts'

const COUNT = 3_000
const KEYS = 60

let world: World

beforeEach(() => (world = new World()))
afterEach(async () => {
  vi.restoreAllMocks()
  await world.end()
})

/** So many messages, of which each key has every 60th. */
function backlog(): Outgoing[] {
  return Array.from({ length: COUNT }, (_, n) => out(String(n), `k${n % KEYS}`))
}

/** For each key the numbers that it was handed, in the order in which they came. */
function byKey(): { readonly take: (delivery: Delivery) => void; readonly of: Map<string, number[]>; count: number } {
  const of = new Map<string, number[]>()
  const seen = {
    of,
    count: 0,
    take: ({ message: { key = '', body } }: Delivery) => {
      of.set(key, [...(of.get(key) ?? []), Number(body)])
      seen.count++
    },
  }
  return seen
}

function expectAllInOrder(of: ReadonlyMap<string, readonly number[]>): void {
  expect(of.size).toBe(KEYS)
  for (let key = 0; key < KEYS; key++) {
    expect(of.get(`k${key}`)).toEqual(Array.from({ length: COUNT / KEYS }, (_, n) => key + n * KEYS))
  }
}

test('a backlog comes to a quick handler whole and in order, and its open list never names more than the prefetch', async () => {
  const broker = await world.broker()
  await broker.publish(backlog())
  const seen = byKey()
  const client = await world.client()
  const deliver = (delivery: Delivery): Verdict => {
    seen.take(delivery)
    return ack
  }
  await broker.subscribe(spec({ group: 'readers', prefetch: 100 }), deliver)
  let most = 0
  while (seen.count < COUNT) {
    const { rows } = await client.query<{ open: string }>('SELECT open FROM busbar_cursors')
    const named = rows.flatMap(({ open }) => open.split(' ').filter((item) => item !== ''))
    most = Math.max(most, named.length)
    await turn()
  }
  expectAllInOrder(seen.of)
  expect(most).toBeLessThanOrEqual(100)
  await until(async () => (await broker.metrics()).groups[0]?.lag === 0)
  expect(seen.count).toBe(COUNT)
})

test('messages that come a few at a time are fetched without what others have settled, and no more are named than the prefetch', async () => {
  const broker = await world.broker()
  const seen = byKey()
  const client = await world.client()
  await client.query(`
    CREATE TABLE named (number int);
    CREATE FUNCTION count_named() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO named SELECT SUM(cardinality(string_to_array(open, ' '))) FROM busbar_cursors;
      RETURN NULL;
    END $$;
    CREATE TRIGGER count_named AFTER UPDATE ON busbar_cursors FOR EACH STATEMENT EXECUTE FUNCTION count_named()`)
  const prefetch = 8
  await broker.subscribe(spec({ group: 'readers', prefetch }), (delivery) => {
    seen.take(delivery)
    return ack
  })
  for (let sent = 0; sent < COUNT / 5;) {
    const few = backlog().slice(sent, sent + (sent % 3 === 2 ? prefetch : 1))
    const key = `k${sent % KEYS}`
    await broker.publish(few.map((one) => ({ ...one, message: { ...one.message, key } })))
    sent += few.length
    while (seen.count < sent) await turn()
  }
  await until(async () => (await broker.metrics()).groups[0]?.lag === 0)
  const { rows } = await client.query<{ most: number }>('SELECT MAX(number) AS most FROM named')
  expect(rows[0]?.most).toBe(prefetch)
})

test('large messages are read ahead only as far as memory is meant for it, however small the window', async () => {
  const broker = await world.broker()
  const { dialect } = broker.log.context
  let [read, handed, most] = [0, 0, 0]
  const readNext = dialect.readNext.bind(dialect)
  vi.spyOn(dialect, 'readNext').mockImplementation(async (...given) => {
    const found = await readNext(...given)
    for (const { rows } of found) read += rows.length
    most = Math.max(most, read - handed)
    return found
  })
  const count = 200
  const body = 'x'.repeat(128 * 1024)
  for (let n = 0; n < count; n++) await broker.publish([out(body, `k${n}`)])
  await broker.subscribe(spec({ group: 'readers', prefetch: 1 }), async () => {
    handed++
    // Quick, and slower than a read.
    await sleep(4)
    return ack
  })
  await until(() => handed === count)
  expect(most).toBeGreaterThan(0)
  // 32 fill what is meant for it, one is under way, and a read brings 8, or one more of each of its two partitions.
  expect(most).toBeLessThanOrEqual(32 + 1 + 10)
})

test('partitions change hands in the middle of a backlog: none comes twice, none is skipped, keys keep their order', async () => {
  const [first, second] = [await world.broker(), await world.broker()]
  await first.publish(backlog())
  const seen = byKey()
  const joined: Promise<unknown>[] = []
  const deliver = (delivery: Delivery): Verdict => {
    seen.take(delivery)
    // What the first has read ahead by now goes to the second in part.
    if (seen.count === COUNT / 3) joined.push(second.subscribe(spec({ group: 'readers', prefetch: 100 }), deliver))
    return ack
  }
  await first.subscribe(spec({ group: 'readers', prefetch: 100 }), deliver)
  await until(() => seen.count >= COUNT)
  await Promise.all(joined)
  await until(async () => (await second.metrics()).groups[0]?.lag === 0)
  expectAllInOrder(seen.of)
})

test('a message that is given back while more is read ahead comes again, and the others of the backlog meanwhile', async () => {
  const broker = await world.broker()
  await broker.publish(backlog())
  const seen = byKey()
  let again = 0
  const deliver = (delivery: Delivery): Verdict => {
    const n = Number(delivery.message.body)
    if (n % 250 === 0 && delivery.redeliveries === 0) {
      return { redeliver: { after: 0, attempts: 1, firstFailedAt: Date.now() } }
    }
    if (delivery.redeliveries > 0) again++
    seen.take(delivery)
    return ack
  }
  await broker.subscribe(spec({ group: 'readers', prefetch: 100 }), deliver)
  await until(() => seen.count >= COUNT)
  await until(async () => (await broker.metrics()).groups[0]?.lag === 0)
  expect(again).toBe(COUNT / 250)
  expect([...seen.of.values()].flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: COUNT }, (_, n) => n))
})
