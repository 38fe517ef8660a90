/** A process whose handler writes one effect for each order, in the transaction of its inbox. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { DatabaseSync } from 'node:sqlite'
import { silentLogger } from '../../packages/busbar/src/bus/index.ts'
import { sqliteInbox } from '../../packages/busbar/src/inbox/index.ts'
import { startedBus } from '../bus.ts'
import { Random } from '../random.ts'
import { job, say } from '../words.ts'
import { opened, type Order, OrderPlaced, type OutboxJob } from './order.ts'

const { place, seed, effects, defect } = await job<OutboxJob>()
const random = new Random(seed, 'consumer')
/** Retries hold the line, so they keep the order. */
const retry = { retries: 1_000, minDelay: 1, maxDelay: 20, crashes: 1_000_000 }
const options = { group: 'effects', retry, concurrency: 10, from: 'latest' } as const

const bus = await startedBus(place, async (starting) => {
  if (defect === 'keeps no inbox') {
    const database = opened(effects)
    database.exec('PRAGMA busy_timeout = 5000')
    await starting.subscribe(OrderPlaced, ({ data }, { attempt }) => effect(database, data, attempt), options)
    return
  }
  const inbox = sqliteInbox(effects, { logger: silentLogger })
  await starting.subscribe(OrderPlaced, ({ data }, { tx, attempt }) => effect(tx.client, data, attempt), {
    ...options,
    inbox,
  })
})
await say({ ready: true })

process.on('message', () => {
  void bus.stop({ deadline: 5_000 }).finally(() => process.exit(0))
})

async function effect(database: DatabaseSync, { id, customer, n }: Order, attempt: number): Promise<void> {
  database.prepare('INSERT INTO effects (id, customer, n) VALUES (?, ?, ?)').run(id, customer, n)
  // Killed or failed here, the effect is not to be there.
  if (random.next() < 0.1) await sleep(random.between(1, 10))
  if (attempt === 1 && n % 13 === 5) throw new Error('fails the first time')
}
