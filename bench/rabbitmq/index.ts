import type { Contender, Suite } from '../suite.ts'

const subjects: Readonly<Record<string, Contender>> = {
  raw: {
    load: () => import('./raw.ts'),
    promises:
      'amqplib: the same CloudEvents, persistent and mandatory, through a topic exchange into as many quorum queues with the same settings, ' +
      'each confirmed; a consumer for each queue with 100 in memory, parses each, awaits the handler one message after the other, and acks ' +
      'each. No rebalance, no redelivery, no dead letters',
  },
  busbar: {
    load: () => import('./busbar.ts'),
    promises:
      'each message confirmed by the server; at least once with order by key over processes, retry, redelivery and dead letters',
  },
}

export const rabbitmq: Suite = {
  server: 'BUSBAR_RABBITMQ_URL',
  subjects,
  processes: [['raw', 'busbar']],
  extras: [],
  notes: [
    'One server on this machine for both. Quorum queues write and sync before they confirm. It takes most of the CPU that the subjects share.',
    'Batching: all messages of a batch are on their way at once, each confirmed, for both.',
    'Publishing: to one group whose handler is away.',
  ],
}
