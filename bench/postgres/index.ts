import type { Contender, Suite } from '../suite.ts'

const subjects: Readonly<Record<string, Contender>> = {
  raw: {
    load: () => import('./raw.ts'),
    promises:
      'pg with pipelining: the same columns, ids and JSON of the same contract; a batch is one INSERT over arrays; partitions by key, held by an advisory lock ' +
      'of the reading session, each with its cursor; reads 100 rows before any open transaction, parses each, awaits the handler one message after the other, ' +
      'moves the cursors of what was handled while the next rows are read; tells other processes by NOTIFY. No retry, no redelivery, no dead letters',
  },
  busbar: {
    load: () => import('./busbar.ts'),
    promises:
      'at least once with order by key, no gaps, leases against other processes, a batch whose answer was cut off looked up, retry, redelivery and dead letters',
  },
}

export const postgres: Suite = {
  server: 'BUSBAR_POSTGRES_URL',
  subjects,
  processes: [['raw', 'busbar']],
  extras: [],
  notes: [
    'One server on this machine for both, with its own defaults: a publish is confirmed when it is on the disk. It takes part of the CPU that the subjects share.',
    'The cursors of both are committed without waiting for the disk: what a crash of the server takes back is read again.',
    'Batching: concurrent publishes and arrays are one INSERT over arrays, for both.',
    'Publishing: to one group whose handler is away.',
  ],
}
