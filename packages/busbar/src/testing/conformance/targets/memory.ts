import type { Broker } from '../../../broker/index.ts'
import { MemoryBroker } from '../../../memory/index.ts'

export function createBroker(): Broker {
  return new MemoryBroker()
}
