import type { Confirmations } from './confirmations.ts'
import type { Connection } from './connection.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import type { Names } from './names.ts'
import type { Topology } from './topology.ts'

/** What the parts of one started broker share. */
export interface NatsContext extends Connection {
  readonly names: Names
  readonly topology: Topology
  readonly confirmations: Confirmations
  readonly logger: BrokerLogger
  /** Milliseconds that a member keeps its partitions without a sign of life. */
  readonly lease: number
  /** Called after each reconnect, as long as they are in. */
  readonly onReconnect: Set<() => void>
}
