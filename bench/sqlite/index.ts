import type { Contender, Suite } from '../suite.ts'

const subjects: Readonly<Record<string, Contender>> = {
  raw: {
    load: () => import('./raw.ts'),
    promises:
      'node:sqlite on tables that Busbar made: the same columns, index and pragmas, ids and JSON of the same contract; ' +
      'reads 100 rows of a partition, parses each, awaits the handler one message after the other, moves the cursor. No checks, no leases, no retry',
  },
  busbar: {
    load: () => import('./busbar.ts'),
    promises: 'at least once with order by key, leases against other processes, retry, redelivery and dead letters',
  },
}

export const sqlite: Suite = {
  subjects,
  processes: [['raw', 'busbar']],
  extras: ['./sqlite/growth.ts', './sqlite/backlog.ts'],
  notes: [
    'WAL, synchronous = normal for both: a commit is not synced (a crash of the process loses nothing; a power cut can lose the last commits).',
    'Batching: concurrent publishes and arrays are one commit; the raw baseline inserts the same rows with 100-row VALUES in one transaction.',
    'One by one: one commit a message, for both.',
    'Cost per message: of the next messages, published 100 in flight and then handled, on a log of so many rows.',
    'RSS: largest of the whole process (Node itself takes 50 to 60 MB) while it works on the backlog.',
  ],
}
