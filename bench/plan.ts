/** How long and how much is measured. */
export interface Plan {
  readonly payloads: readonly number[]
  /** Rounds over all subjects, interleaved. */
  readonly rounds: number
  /** Milliseconds within which the rounds of a suite are to end: a further one is begun only where it should fit. */
  readonly suiteBudget: number
  /** Milliseconds at the beginning of a process, not counted: until everything is compiled. */
  readonly settle: number
  /** Milliseconds before each measurement, not counted. */
  readonly warmUp: number
  /** Milliseconds of each measurement. */
  readonly duration: number
  /** Messages waiting when a handler comes back to them. */
  readonly backlog: number
  /** Most samples of a latency. */
  readonly latencies: number
  /** Rows of the log at which the cost of a message is measured. */
  readonly logSizes: readonly number[]
  /** Messages published and consumed at each size of the log. */
  readonly costSample: number
  /** Rows of the backlog whose memory is measured. */
  readonly memoryBacklog: number
  /** Messages of it that are handled meanwhile, at most. */
  readonly memoryHandled: number
}

const full: Plan = {
  payloads: [64, 500],
  rounds: 7,
  suiteBudget: 480_000,
  settle: 2_000,
  warmUp: 200,
  duration: 500,
  backlog: 100_000,
  latencies: 50_000,
  logSizes: [1e3, 1e5, 1e6, 1e7],
  costSample: 10_000,
  memoryBacklog: 1e6,
  memoryHandled: 1e6,
}

/** Both suites in less than a minute and a half. */
const quick: Plan = {
  ...full,
  rounds: 3,
  suiteBudget: 40_000,
  settle: 700,
  warmUp: 30,
  duration: 100,
  backlog: 20_000,
  latencies: 20_000,
  logSizes: [1e3, 1e5, 1e6],
  memoryHandled: 100_000,
}

/** For the bench's own test: shows that every measure works, and measures nothing well. */
const tiny: Plan = {
  ...quick,
  rounds: 1,
  settle: 0,
  warmUp: 2,
  duration: 5,
  backlog: 200,
  latencies: 50,
  logSizes: [1e2, 1e3],
  costSample: 200,
  memoryBacklog: 1e3,
}

export const plans = { full, quick, tiny } as const
export type PlanName = keyof typeof plans
