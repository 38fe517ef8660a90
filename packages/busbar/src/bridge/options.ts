import type { Broker } from '../broker/index.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import type { Codec } from '../message/codec.ts'
import type { EncodedMessage } from '../message/message.ts'

export interface BridgeOptions {
  /** Read by a group of its own, so that its position there is the bridge's checkpoint. The caller starts and stops it. */
  readonly from: Broker
  /** Written to. The caller starts and stops it. */
  readonly to: Broker
  /** Topics to move; at least one. */
  readonly topics: readonly string[]
  /**
   * Bridges of the same name over the same `from` share the work, in one process or many, and go on where the others
   * were. A bridge passes over what a bridge of its name has brought, so two of the same name can run in opposite directions.
   * Default `bridge`.
   */
  readonly name?: string
  /**
   * Where a bridge of a new name begins: `earliest` moves the whole log that there is. Default `earliest` where `from` keeps
   * one (`capabilities.replay`), else `latest`.
   */
  readonly start?: 'earliest' | 'latest'
  /** What is moved. Default: everything. What is passed over counts as done. */
  readonly only?: (message: EncodedMessage, topic: string) => boolean
  /** The topic at the other side. Default: the same. One topic must not become several, or the order of a key is lost. */
  readonly topic?: (topic: string) => string
  /** Most messages on their way at once, in each process. Default 1 000. It bounds what is sent twice after a kill -9. */
  readonly prefetch?: number
  /** Most messages of one publish. Default 500. */
  readonly batch?: number
  /** Writes the bodies of a broker whose bodies never left its process. Default JSON. */
  readonly codec?: Codec
  /** Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

export interface BridgeStats {
  /** Confirmed by `to`. */
  readonly moved: number
  /** Passed over, by `only` or because they came over a bridge of this name. */
  readonly skipped: number
  /** Put aside at `from`, because `to` can never take them. */
  readonly refused: number
  /** On their way in this process. */
  readonly waiting: number
  /** Keys of which something was refused for a while: they wait, each by itself. Absent: none. */
  readonly held?: number
  /** Why the last attempt failed; undefined once one has succeeded. */
  readonly failing?: string
}
