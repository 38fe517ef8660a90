/** What is to be checked, and how it is made: in this process and in those that checks start. */
export interface TargetOf<Capabilities> {
  /** For people: `memory`, `sqlite`, `my-own`. */
  readonly name: string
  /**
   * URL (`import.meta.resolve(…)` or `new URL(…).href`) of a module that makes it. A URL and not a function, because checks start
   * child processes that must make the same.
   */
  readonly module: string
  /** Handed to the module as it is, in every process: addresses, credentials of a test server … */
  readonly settings?: Readonly<Record<string, string>>
  /** Capabilities to be taken instead of those that are told, to leave out checks that cannot be run here. */
  readonly capabilities?: Partial<Capabilities>
}

/** What the modules of all targets have in common. */
export interface SuiteModule {
  /** Removes what a namespace has left behind. Called when the check is over and everything of it is stopped. */
  cleanup?(options: TargetOptions): void | Promise<void>
  /** Faults that can be caused from outside, by name. A check that needs one which is not here is skipped. */
  readonly faults?: object
}

export interface TargetOptions {
  /** Letters, digits and `-`; at most 40 characters. */
  readonly namespace: string
  /** Milliseconds after which a member that was killed loses its claim, where there is such a thing. Default: its own. */
  readonly lease?: number
  readonly settings: Readonly<Record<string, string>>
}

export type EndFault = () => void | Promise<void>
