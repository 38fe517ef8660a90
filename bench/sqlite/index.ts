import type { Contender } from '../suites.ts'

export const sqliteSubjects: Readonly<Record<string, Contender>> = {
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
