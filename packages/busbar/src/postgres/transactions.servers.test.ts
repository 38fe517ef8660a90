import { afterEach, beforeEach, expect, test } from 'vitest'
import type { PgLike } from '../transaction/index.ts'
import { fromPg, TransactionError } from '../transaction/index.ts'
import type { PostgresBroker } from './index.ts'
import { collector, out, spec, World } from './fixtures/world.ts'

let world: World
beforeEach(() => {
  world = new World()
})
afterEach(() => world.end())

/** A client as an application has it: it knows nothing of Busbar's schema. */
async function application() {
  const client = await world.client()
  await client.query('SET search_path TO public')
  return client
}

async function collecting(broker: PostgresBroker) {
  const seen = collector()
  await broker.subscribe(spec({ from: 'latest' }), seen.deliver)
  return seen
}

test('what is published after another commit comes after it, also in a transaction that began to write before', async () => {
  const broker = await world.broker()
  const seen = await collecting(broker)
  const [early, late] = [await application(), await application()]
  // Draws its number now, before the other one; then it waits for the other's row, as two changes of one order do.
  await early.query('BEGIN')
  await early.query('SELECT pg_current_xact_id()')
  await late.query('BEGIN')
  await broker.publishIn(fromPg(late), [out('1', 'k')])
  await late.query('COMMIT')
  await broker.publishIn(fromPg(early), [out('2', 'k')])
  await broker.publish([out('3', 'k')])
  await early.query('COMMIT')
  await expect.poll(() => seen.bodies(), { timeout: 30_000 }).toEqual(['1', '2', '3'])
})

test('nothing is passed over while transactions commit in another order than they began', async () => {
  const broker = await world.broker()
  const seen = await collecting(broker)
  const clients = await Promise.all(Array.from({ length: 5 }, application))
  const sent: string[] = []
  for (let round = 0; round < 6; round++) {
    for (const client of clients) await client.query('BEGIN')
    for (const [n, client] of clients.entries()) {
      await broker.publishIn(fromPg(client), [out(`${round}.${n}`, `k${n}`)])
      if (n !== round) sent.push(`${round}.${n}`)
    }
    // What is published beside them is committed before any of them.
    await broker.publish([out(`${round}.beside`, 'beside')])
    sent.push(`${round}.beside`)
    for (const [n, client] of [...clients.entries()].toReversed())
      await client.query(n === round ? 'ROLLBACK' : 'COMMIT')
  }
  await expect.poll(() => seen.bodies().map(String).toSorted(), { timeout: 30_000 }).toEqual(sent.toSorted())
  for (let n = 0; n < 5; n++) {
    const its = seen
      .bodies()
      .map(String)
      .filter((body) => body.endsWith(`.${n}`))
    expect(its).toEqual(its.toSorted())
  }
})

test('a transaction notifies nobody, for that takes a lock which every commit has to pass; its end is seen nevertheless', async () => {
  // Nobody looks by themselves within the time of this test.
  const patient = { pollInterval: 3_600_000 }
  const [broker, other] = [await world.broker(patient), await world.broker(patient)]
  const [seen, there] = [await collecting(broker), await collecting(other)]
  const client = await application()
  const said: string[] = []
  const listening: PgLike = {
    query: (text, values) => {
      said.push(text)
      return client.query(text, values)
    },
  }
  await client.query('BEGIN')
  await broker.publishIn(fromPg(listening), [out('1')])
  await client.query('COMMIT')
  await expect.poll(() => [seen.bodies(), there.bodies()], { timeout: 30_000 }).toEqual([['1'], ['1']])
  expect(said.some((text) => text.startsWith('INSERT'))).toBe(true)
  expect(said.filter((text) => /notify/i.test(text))).toEqual([])
})

test('a database without a log of Busbar is named, and the transaction goes on', async () => {
  const broker = await world.broker()
  const client = await application()
  await client.query('BEGIN')
  const elsewhere: PgLike = { query: (text, values) => client.query(text.replaceAll(world.schema, 'nowhere'), values) }
  const publishing = broker.publishIn(fromPg(elsewhere), [out('1')])
  await expect(publishing).rejects.toThrow(TransactionError)
  await expect(publishing).rejects.toThrow(/no log of Busbar/)
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  await client.query('COMMIT')
})
