/** A process that places orders: the order and its event in one transaction, some of which it rolls back on purpose. */
import { setTimeout as sleep } from 'node:timers/promises'
import { EventBus, silentLogger } from '../../packages/busbar/src/bus/index.ts'
import { uuidv7 } from '../../packages/busbar/src/message/index.ts'
import { outbox } from '../../packages/busbar/src/outbox/index.ts'
import { SqliteBroker } from '../../packages/busbar/src/sqlite/index.ts'
import type { TargetModule } from '../../packages/busbar/src/testing/conformance/target.ts'
import { fromNodeSqlite } from '../../packages/busbar/src/transaction/index.ts'
import { told } from '../bus.ts'
import { topic } from '../message.ts'
import { Random } from '../random.ts'
import { job, say } from '../words.ts'
import { type AppJob, begin, opened, OrderPlaced } from './order.ts'

const { place, seed, shop, customers, count, rate, relay, defect } = await job<AppJob>()
const random = new Random(seed, 'app')
const database = opened(shop)
const target = (await import(place.module)) as TargetModule
const outgoing = outbox({
  broker: new SqliteBroker({ file: shop, lease: place.options.lease ?? 2_000, logger: silentLogger }),
  relay,
  logger: silentLogger,
})
const bus = new EventBus(await target.createBroker(place.options), {
  source: 'shop',
  topics: { event: topic },
  logger: silentLogger,
  outbox: outgoing,
})
// Before there is a transaction, whose lock it would wait for.
await outgoing.start()
// Orders are placed whether the broker can be reached or not; started again until it can.
const starting = started()
if (defect !== undefined) await starting

const next = database.prepare('SELECT COALESCE(MAX(n) + 1, 0) AS n FROM orders WHERE customer = ?')
const insert = database.prepare('INSERT INTO orders (id, customer, n) VALUES (?, ?, ?)')
const began = performance.now()
for (let placed = 0; placed < count;) {
  const due = placed / rate - (performance.now() - began) / 1_000
  if (due > 0) await sleep(due * 1_000)
  try {
    if (await placeOrder()) placed++
    else await say({ rolledBack: 1 })
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    await say({ trouble: `place: ${told(error)}` })
    await sleep(50)
  }
  if (placed === 1) await say({ ready: true })
}
await say({ done: true })
// It goes on handing on, as an application that has nothing to place does.
process.on('message', () => void bus.stop({ deadline: 5_000 }).finally(() => process.exit(0)))

/** True where it was committed. */
async function placeOrder(): Promise<boolean> {
  const customer = customers[random.whole(0, customers.length - 1)] ?? ''
  await begin(database)
  const order = { id: uuidv7(), customer, n: Number(next.get(customer)?.['n']) }
  const event = OrderPlaced.create(order)
  const isFirst = random.next() < 0.5
  if (isFirst) insert.run(order.id, customer, order.n)
  if (defect === 'publishes beside the transaction') await bus.publish(event)
  else await bus.publish(event, { tx: fromNodeSqlite(database) })
  if (!isFirst) insert.run(order.id, customer, order.n)
  // So that a process is killed inside a transaction, too.
  if (random.next() < 0.05) await sleep(random.between(1, 20))
  const isKept = random.next() < 0.85
  database.exec(isKept ? 'COMMIT' : 'ROLLBACK')
  return isKept
}

async function started(): Promise<void> {
  for (;;) {
    try {
      return await bus.start()
    } catch (error) {
      await say({ trouble: `start: ${told(error)}` })
      await sleep(200)
    }
  }
}
