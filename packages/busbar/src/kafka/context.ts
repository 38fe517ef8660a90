import type { DeadLetterStore } from '../broker/index.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import type { Asides } from './asides.ts'
import type { Cluster } from './cluster.ts'
import type { Names } from './names.ts'
import type { Producer } from './producer.ts'
import type { Topology } from './topology.ts'

/** What the parts of one started broker share. */
export interface KafkaContext {
  readonly cluster: Cluster
  readonly names: Names
  readonly topology: Topology
  readonly producer: Producer
  readonly asides: Asides
  readonly deadLetters: Pick<DeadLetterStore, 'put'>
  readonly logger: BrokerLogger
}
