/** One thing that everything with the capabilities must do. */
export interface CheckOf<Context, Capabilities, Fault extends string = string> {
  /** A sentence that is true of what is sound; unique in the suite. */
  readonly name: string
  /**
   * What it applies to. Default: all. Written as `(c) => c.a && c.b`: the capability that was asked for last is told as the reason
   * of a skip.
   */
  readonly needs?: (capabilities: Capabilities) => boolean
  /** The fault that the target must be able to cause. */
  readonly fault?: Fault
  /** It measures memory or starts several processes: run beside no other such check. Default false. */
  readonly heavy?: boolean
  /** It holds up others that share its server for as long as they are patient: run when no other check is. Default false. */
  readonly alone?: boolean
  /** Throws if the sentence is not true. */
  run(context: Context): Promise<void>
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
