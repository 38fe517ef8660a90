import type { Dialect } from './dialect.ts'
import type { Executor } from './executor.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import type { Topics } from './topics.ts'

/** A member that reads behind an append. */
export interface ReadBehind {
  readonly member: object
  /** It did, and found nothing: perhaps the append is sent again, over another connection. */
  inVain: boolean
}

/** What the parts of one SQL broker share. */
export interface SqlContext {
  readonly executor: Executor
  /** What appends to the log, in the order of the calls; it may be the same. */
  readonly publishing: Executor
  readonly dialect: Dialect
  readonly topics: Topics
  readonly logger: BrokerLogger
  /** Milliseconds that a member keeps its partitions without a sign of life. */
  readonly lease: number
  /** Time by which delays are kept. Unix milliseconds. */
  now(): number
  /** Tells the members of this broker that a group's partitions or set-aside messages have changed. */
  groupChanged(group: string): void
  /**
   * Tells the members of this broker that an append to a topic is on its way over `publishing`. Gives the one that reads behind it,
   * if any: not more, since later appends wait for that.
   */
  topicGrows(topic: number, partition: number): ReadBehind | undefined
  /** Tells them that the log of a topic has grown; whoever reads behind the append only where nothing came of that. */
  topicGrew(topic: number, partition: number, behind?: ReadBehind): void
  /** Tells those who read the events of this database in this process that there are more. */
  storeGrew(): void
}
