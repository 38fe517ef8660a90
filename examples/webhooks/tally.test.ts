import { EventBus, type Message, silentLogger } from 'busbar'
import { MemoryBroker } from 'busbar/memory'
import { expect, test } from 'vitest'

import { openDatabase } from './database.ts'
import { Inbox } from './handlers/inbox.ts'
import { Ledger } from './ledger.ts'
import { type Tally, tally } from './tally.ts'

/** A ledger of ten messages, all of them handled in order by `activity` and `mirror`. */
async function handledInOrder() {
  const database = openDatabase(':memory:')
  const ledger = new Ledger(database)
  ledger.plan(10)
  const sent: Message[] = []
  await ledger.send(async (messages) => void sent.push(...messages))
  const insert = database.prepare('INSERT INTO handled (consumer, id, key, sequence, attempt) VALUES (?, ?, ?, ?, ?)')
  for (const consumer of ['activity', 'mirror']) {
    for (const { id, subject, metadata } of sent)
      insert.run(consumer, id, subject ?? '', Number(metadata['sequence']), 1)
  }
  return { database, ledger, result: (): Tally => tally(database, ledger.run, ['activity', 'mirror']) }
}

test('when every group has handled all in order, nothing is lost, duplicated or out of order', async () => {
  const { result } = await handledInOrder()
  expect(result()).toMatchObject({
    published: 10,
    handled: { activity: 10, mirror: 10 },
    lost: 0,
    duplicated: 0,
    outOfOrder: 0,
  })
})

test('a message that one group has not handled is lost', async () => {
  const { database, result } = await handledInOrder()
  database.exec(`DELETE FROM handled WHERE place = 4`)
  expect(result()).toMatchObject({ handled: { activity: 9, mirror: 10 }, lost: 1, outOfOrder: 0 })
})

test('a message that a group has handled after a later one of its key is out of order', async () => {
  const { database, result } = await handledInOrder()
  const [first, second] = database
    .prepare(
      `SELECT min(place) AS first, max(place) AS last FROM handled WHERE consumer = 'activity'
       GROUP BY key HAVING count(*) > 1 LIMIT 1`,
    )
    .all()
    .flatMap((row) => [Number(row['first']), Number(row['last'])])
  database.exec(`UPDATE handled SET place = 100 WHERE place = ${first}`)
  expect(second).toBeGreaterThan(first!)
  expect(result().outOfOrder).toBe(1)
})

test('the mirror may handle what had left the line later, and nothing else; the other groups may not', async () => {
  const { database, result } = await handledInOrder()
  const late = (consumer: string, attempt: number) =>
    database.exec(
      `UPDATE handled SET place = (SELECT max(place) + 1 FROM handled), attempt = ${attempt} WHERE place = (
         SELECT min(place) FROM handled WHERE consumer = '${consumer}'
         AND key = (SELECT key FROM handled GROUP BY key ORDER BY count(*) DESC LIMIT 1)
       )`,
    )
  late('mirror', 4)
  expect(result().outOfOrder).toBe(0)
  late('mirror', 3)
  expect(result().outOfOrder).toBe(1)
  late('activity', 4)
  expect(result().outOfOrder).toBe(2)
})

test('a run for a message that was handled before is counted, and has no second effect', async () => {
  const { database, result } = await handledInOrder()
  const effects: number[] = []
  const inbox = new Inbox(database)
  await using bus = new EventBus(new MemoryBroker(), { logger: silentLogger })
  await bus.subscribe('github.*', (message, context) => inbox.once(message, context, (place) => effects.push(place)), {
    group: 'activity',
  })
  const again: Message[] = []
  database.exec('UPDATE sent SET confirmed = 0')
  await new Ledger(database).send(async (messages) => void again.push(...messages))
  await bus.publish(again)
  await bus.idle()
  expect(effects).toEqual([])
  expect(result()).toMatchObject({ lost: 0, duplicated: 10, outOfOrder: 0 })
})
