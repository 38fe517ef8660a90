import type { Broker, Capabilities } from '../../broker/index.ts'

/** A broker to be checked. */
export interface ConformanceTarget {
  /** For people: `memory`, `sqlite`, `my-broker`. */
  readonly name: string
  /**
   * URL (`import.meta.resolve(…)` or `new URL(…).href`) of a module that exports what `TargetModule` says.
   * A URL and not a function, because checks start child processes that must make the same broker.
   */
  readonly module: string
  /** Handed to `createBroker` as it is, in every process: addresses, credentials of a test server … */
  readonly settings?: Readonly<Record<string, string>>
  /** Capabilities to be taken instead of those that the broker tells, to leave out checks that cannot be run here. */
  readonly capabilities?: Partial<Capabilities>
}

/** What the module of a target exports. */
export interface TargetModule {
  /**
   * Makes a broker that has not been started. Brokers made with the same namespace, in any process, share their messages
   * where the broker can (`capabilities.multiProcess`); different namespaces never see each other's topics and groups.
   * Topics and groups of checks have the namespace in their names, so a server shared by all needs nothing more.
   */
  createBroker(options: TargetOptions): Broker | Promise<Broker>
  /** Removes what a namespace has left behind (files, topics, queues). Called when the check is over and all brokers are stopped. */
  cleanup?(options: TargetOptions): void | Promise<void>
  /** Faults that can be caused from outside. A check that needs one which is not here is skipped. */
  readonly faults?: TargetFaults
}

export interface TargetOptions {
  /** Letters, digits and `-`; at most 40 characters. */
  readonly namespace: string
  /** Milliseconds after which a member that was killed loses its claim, where the broker has such a thing. Default: the broker's. */
  readonly lease?: number
  readonly settings: Readonly<Record<string, string>>
}

/** Each causes a fault and resolves to what ends it. */
export interface TargetFaults {
  /** Storing a dead letter fails, all else works. */
  failDeadLetters?(options: TargetOptions): Promise<EndFault>
  /** The broker cannot be reached or written to for a while: connections cut, server stopped, file locked. */
  interrupt?(options: TargetOptions): Promise<EndFault>
}

export type EndFault = () => void | Promise<void>
