/** A process that only hands on what is committed in the outbox. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Broker } from '../../packages/busbar/src/broker/index.ts'
import { silentLogger } from '../../packages/busbar/src/bus/index.ts'
import { relayOutbox } from '../../packages/busbar/src/outbox/index.ts'
import { SqliteBroker } from '../../packages/busbar/src/sqlite/index.ts'
import type { TargetModule } from '../../packages/busbar/src/testing/conformance/target.ts'
import { told } from '../bus.ts'
import { job, say } from '../words.ts'
import type { OutboxJob } from './order.ts'

const { place, shop } = await job<OutboxJob>()
const target = (await import(place.module)) as TargetModule
const from = new SqliteBroker({ file: shop, lease: place.options.lease ?? 2_000, logger: silentLogger })
await from.start()
const to = await startedBroker()
const relay = await relayOutbox({ from, to, logger: silentLogger })
await say({ ready: true })

process.on('message', () => {
  const stopping = async (): Promise<void> => {
    await relay.stop({ deadline: 5_000 })
    await Promise.all([from.stop({ deadline: 0 }), to.stop({ deadline: 0 })])
  }
  void stopping().finally(() => process.exit(0))
})

async function startedBroker(): Promise<Broker> {
  for (;;) {
    const broker = await target.createBroker(place.options)
    try {
      await broker.start()
      return broker
    } catch (error) {
      await say({ trouble: `start: ${told(error)}` })
      await broker.stop({ deadline: 0 }).catch(() => undefined)
      await sleep(200)
    }
  }
}
