import type { Broker, Capabilities } from '../../broker/index.ts'
import type { CheckContext } from './context.ts'

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

/** One thing that every broker with the capabilities must do. */
export interface Check {
  /** A sentence that is true of a sound broker; unique in the suite. */
  readonly name: string
  /**
   * Which brokers it applies to. Default: all. Written as `(c) => c.a && c.b`: the capability that was asked for last is told
   * as the reason of a skip.
   */
  readonly needs?: (capabilities: Capabilities) => boolean
  /** The fault that the target must be able to cause. */
  readonly fault?: keyof TargetFaults
  /** It measures memory or starts several processes: run beside no other such check. Default false. */
  readonly heavy?: boolean
  /** Throws if the sentence is not true. */
  run(context: CheckContext): Promise<void>
}

export interface ConformanceOptions {
  /** Milliseconds that a check waits for something that must happen. Default 30 000. */
  readonly patience?: number
  /** Milliseconds that a check listens for something that must not happen, where no later message can mark the end. Default 300. */
  readonly grace?: number
  /** Lease in milliseconds for checks in which processes die or hang. Default 2000. */
  readonly lease?: number
  /** Messages waiting in the check of memory under a backlog. Default 100 000. */
  readonly backlog?: number
}

export interface CheckResult {
  readonly name: string
  readonly result: 'passed' | 'failed' | 'skipped'
  /** Milliseconds. */
  readonly ms: number
  /** Why it failed. */
  readonly error?: Error
  /** Why it was skipped: the capability or fault that is missing. */
  readonly reason?: string
}
