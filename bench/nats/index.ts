import type { Contender, Suite } from '../suite.ts'

const subjects: Readonly<Record<string, Contender>> = {
  raw: {
    load: () => import('./raw.ts'),
    promises:
      '@nats-io/jetstream: the same CloudEvents in a stream with the same settings, each message confirmed by its PubAck, one subscription for all of them; one durable ' +
      'consumer with 100 in memory, parses each, awaits the handler of its type one message after the other, and acks each. No order between members, no dead letters',
  },
  busbar: {
    load: () => import('./busbar.ts'),
    promises:
      'each message confirmed by its PubAck; at least once with order by key, partitions leased and fenced, retry, redelivery and dead letters',
  },
}

export const nats: Suite = {
  server: 'BUSBAR_NATS_URL',
  subjects,
  processes: [['raw', 'busbar']],
  extras: [],
  notes: [
    'One server on this machine for both; whether it syncs is its own setting (script/brokers: sync_interval as it comes, 2 minutes). It takes part of the CPU that the subjects share.',
    'Batching: all messages of a batch are on their way at once, each with a PubAck of its own, for both.',
    'Publishing: to one group whose handler is away.',
  ],
}
