import type { Contender, Suite } from '../suite.ts'

const subjects: Readonly<Record<string, Contender>> = {
  raw: {
    load: () => import('./raw.ts'),
    promises:
      '@platformatic/kafka: the same CloudEvents, acks=all, not idempotent (of calls at once its idempotent producer has some refused as out of sequence, and is slower by far), what is published in one turn in one request; one consumer of a group, parses each, awaits the ' +
      'handler one message after the other, and commits every 100 messages or 5 ms. No redelivery, no dead letters, no order while one is retried',
  },
  busbar: {
    load: () => import('./busbar.ts'),
    promises:
      'idempotent, acks=all; at least once with order by key, at most a window comes again after a crash, retry, redelivery and dead letters',
  },
}

export const kafka: Suite = {
  server: 'BUSBAR_KAFKA_URL',
  subjects,
  processes: [['raw', 'busbar']],
  extras: [],
  notes: [
    'One server on this machine for both, one replica; it syncs to the disk as Kafka does by default, not with each batch. It takes most of the CPU that the subjects share.',
    'Batching: a batch, and many calls at once, are one request for both.',
    'Publishing: to one group whose handler is away.',
  ],
}
