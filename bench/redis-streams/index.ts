import type { Contender, Suite } from '../suite.ts'

const subjects: Readonly<Record<string, Contender>> = {
  raw: {
    load: () => import('./raw.ts'),
    promises:
      'ioredis: the same entries in as many streams, chosen by key, ids and JSON of the same contract; a batch is a pipeline of XADD; one consumer reads ' +
      'all streams with XREADGROUP, parses each, awaits the handler one message after the other, and sends XACK with the next read. ' +
      'No order between members, no retry, no takeover',
  },
  busbar: {
    load: () => import('./busbar.ts'),
    promises:
      'at least once with order by key, partitions leased and fenced, a batch that is sent again after a cut counted once, retry, redelivery and dead letters',
  },
  '@moleculer/channels': {
    load: () => import('./moleculer-channels.ts'),
    promises:
      'at least once over one stream, with moleculer 0.14 and ioredis 5 that it supports and 100 in flight; no order by key. An entry is the data alone',
  },
}

export const redisStreams: Suite = {
  server: 'BUSBAR_REDIS_URL',
  subjects,
  processes: [['raw', 'busbar', '@moleculer/channels']],
  extras: [],
  notes: [
    'One server on this machine for all; whether it syncs is its own setting (script/brokers: appendonly yes, appendfsync everysec). It takes part of the CPU that the subjects share.',
    'Batching: concurrent publishes and arrays of Busbar are one script; the raw baseline pipelines them.',
    'Publishing: to one group whose handler is away.',
  ],
}
