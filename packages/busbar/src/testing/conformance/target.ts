import type { Broker, Capabilities } from '../../broker/index.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import type { EndFault, SuiteModule, TargetOf, TargetOptions } from '../suite/target.ts'

export type { EndFault, TargetOptions }

/** A broker to be checked. */
export type ConformanceTarget = TargetOf<Capabilities>

/** What the module of a target exports. */
export interface TargetModule extends SuiteModule {
  /**
   * Makes a broker that has not been started. Brokers made with the same namespace, in any process, share their messages
   * where the broker can (`capabilities.multiProcess`); different namespaces never see each other's topics and groups.
   * Topics and groups of checks have the namespace in their names, so a server shared by all needs nothing more.
   */
  createBroker(options: TargetOptions): Broker | Promise<Broker>
  /** Removes what a namespace has left behind (files, topics, queues). Called when the check is over and all brokers are stopped. */
  cleanup?(options: TargetOptions): void | Promise<void>
  /**
   * Begins a transaction in the database of the namespace, on a connection of its own, as an application would. A broker with
   * `capabilities.transactions` cannot be checked without.
   */
  begin?(options: TargetOptions): Promise<TargetTransaction>
  /** Faults that can be caused from outside. A check that needs one which is not here is skipped. */
  readonly faults?: TargetFaults
}

/** Each causes a fault and resolves to what ends it. */
export interface TargetFaults {
  /** Storing a dead letter fails, all else works. */
  failDeadLetters?(options: TargetOptions): Promise<EndFault>
  /** The broker cannot be reached or written to for a while: connections cut, server stopped, file locked. */
  interrupt?(options: TargetOptions): Promise<EndFault>
}

export interface TargetTransaction {
  readonly tx: Transaction
  /** Each ends the transaction and its connection. */
  readonly commit: () => Promise<void>
  readonly rollback: () => Promise<void>
}
