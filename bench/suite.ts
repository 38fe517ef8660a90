import type { Open } from './subject.ts'

/** A subject of a suite. Loaded only in the process that measures it, so that none pays for another's globals. */
export interface Contender {
  readonly load: () => Promise<{ readonly open: Open }>
  /** What it promises, and what it does not. */
  readonly promises: string
}

export interface Suite {
  /** Environment variable with the URL of the server that it needs. */
  readonly server?: string
  readonly subjects: Readonly<Record<string, Contender>>
  /** Which subjects are measured in one process, taking turns at every measure; the processes of a round take turns, too. */
  readonly processes: readonly (readonly string[])[]
  /**
   * Most messages that wait for a handler that comes back, where the server takes long to store and to hand out so many: more rounds
   * say more than longer ones.
   */
  readonly backlog?: number
  /** Further measurements, each a file that is run in a process of its own, once. */
  readonly extras: readonly string[]
  /** For the reader of the table: batching, fsync and the like. */
  readonly notes: readonly string[]
}
