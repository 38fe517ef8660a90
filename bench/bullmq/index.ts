import type { Contender, Suite } from '../suite.ts'

const subjects: Readonly<Record<string, Contender>> = {
  raw: {
    load: () => import('./raw.ts'),
    promises:
      'bullmq: the same CloudEvents as the data of jobs in one queue, add and addBulk; a worker with 100 jobs at once that parses ' +
      'each, awaits the handler and completes each. No groups, one priority for all without ageing, one try',
  },
  busbar: {
    load: () => import('./busbar.ts'),
    promises:
      'at least once to every group that is registered, native priorities with ageing, retry, redelivery, crashes counted, dead letters',
  },
}

export const bullmq: Suite = {
  server: 'BUSBAR_REDIS_URL',
  subjects,
  processes: [['raw', 'busbar']],
  backlog: 30_000,
  extras: [],
  notes: [
    'One server on this machine for both; whether it syncs is its own setting (script/brokers: appendfsync everysec). It takes part of the CPU that the subjects share.',
    'Batching: addBulk is one pipeline; Busbar sends ten jobs at a time without waiting, and last a look at the registry of groups. Every job is one script of BullMQ.',
    'Publishing: to one group whose handler is away. Consume: 30,000 messages, at most.',
  ],
}
