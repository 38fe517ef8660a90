/** A target that needs no setting: its broker does not refuse to publish after it was stopped. */
import type { Broker } from '../../../broker/index.ts'
import { MemoryBroker } from '../../../memory/index.ts'
import { altered } from './altered.ts'

export function createBroker(): Broker {
  const broker = new MemoryBroker()
  return altered(broker, { publish: (batch) => broker.publish(batch).catch(() => undefined) })
}
