import { memorySubjects } from './memory/index.ts'
import { sqliteSubjects } from './sqlite/index.ts'
import type { Open } from './subject.ts'

/** A subject of a suite. Loaded only in the process that measures it, so that none pays for another's globals. */
export interface Contender {
  readonly load: () => Promise<{ readonly open: Open }>
  /** What it promises, and what it does not. */
  readonly promises: string
}

export interface Suite {
  readonly subjects: Readonly<Record<string, Contender>>
  /** Which subjects are measured in one process, taking turns at every measure; the processes of a round take turns, too. */
  readonly processes: readonly (readonly string[])[]
  /** Further measurements, each a file that is run in a process of its own, once. */
  readonly extras: readonly string[]
  /** For the reader of the table: batching, fsync and the like. */
  readonly notes: readonly string[]
}

export const suites = {
  memory: {
    subjects: memorySubjects,
    processes: Object.keys(memorySubjects).map((name) => [name]),
    extras: [],
    notes: [
      'Publishing: to one group whose handler is away, so every message is kept. Nothing is written to disk.',
      'Batching: calls of the same turn of the event loop are sent to the broker together.',
    ],
  },
  sqlite: {
    subjects: sqliteSubjects,
    processes: [['raw', 'busbar']],
    extras: ['./sqlite/growth.ts', './sqlite/backlog.ts'],
    notes: [
      'WAL, synchronous = normal for both: a commit is not synced (a crash of the process loses nothing; a power cut can lose the last commits).',
      'Batching: concurrent publishes and arrays are one commit; the raw baseline inserts the same rows with 100-row VALUES in one transaction.',
      'One by one: one commit a message, for both.',
      'Cost per message: of the next messages, published 100 in flight and then handled, on a log of so many rows.',
      'RSS: largest of the whole process (Node itself takes 50 to 60 MB) while it works on the backlog.',
    ],
  },
} as const satisfies Record<string, Suite>

export type SuiteName = keyof typeof suites
