import type { Contender, Suite } from '../suite.ts'

const subjects: Readonly<Record<string, Contender>> = {
  raw: {
    load: () => import('./raw.ts'),
    promises:
      'ioredis: the same CloudEvents on one channel; a batch is a pipeline of PUBLISH; one connection listens, parses each and calls ' +
      'the handler. At most once, no limit to what waits, no retry',
  },
  busbar: {
    load: () => import('./busbar.ts'),
    promises:
      'at most once to every process that listens, in the order of each key, retry within the process, a limit to what waits for a handler',
  },
}

export const redisPubSub: Suite = {
  server: 'BUSBAR_REDIS_URL',
  subjects,
  processes: [['raw', 'busbar']],
  extras: [],
  notes: [
    'One server on this machine for both, which keeps nothing. It takes part of the CPU that the subjects share.',
    'Batching: each message is one PUBLISH, and those of a batch leave together, for both.',
    'Publishing: to a channel whose handler is away, so to nobody. Nothing waits for it: what is consumed is measured from end to end.',
  ],
}
