import type { Contender, Suite } from '../suite.ts'

const subjects: Readonly<Record<string, Contender>> = {
  raw: {
    load: () => import('./raw.ts'),
    promises: 'a bare async call of the handler with the payload: promises nothing. A backlog is an array',
  },
  busbar: {
    load: () => import('./busbar.ts'),
    promises:
      'envelope with UUIDv7, data copied and checked to be JSON, order by key, at most 10 handlers at once, ' +
      'retry, redelivery, dead letters, correlation. Publish resolves when the message is queued',
  },
  '@nestjs/cqrs': {
    load: () => import('./nestjs.ts'),
    promises:
      'calls the handlers inside of publish: they begin in order and run without bound; no retry, no back-pressure, ' +
      'errors logged; the handler has the publisher’s own object; publish does not tell when they are done',
  },
  moleculer: {
    load: () => import('./moleculer.ts'),
    promises:
      'emit awaits the handlers, which run without bound; no order by key, no retry, no back-pressure but awaiting',
  },
  emittery: {
    load: () => import('./emittery.ts'),
    promises: 'emit awaits the listeners, which run without bound; no order, no retry; rejects with what they threw',
  },
  '@node-ts/bus-core': {
    load: () => import('./node-ts.ts'),
    promises:
      'a queue read by one worker (its default), so in order until a retry; retries with delay, then an in-memory dead-letter list; ' +
      'its worker sleeps up to 1.5 s when it finds the queue empty, which this bench gives it no occasion for',
  },
  '@event-driven-io/emmett': {
    load: () => import('./emmett.ts'),
    promises:
      'publish awaits the handlers one after the other; concurrent publishes overlap; no retry, no back-pressure but awaiting',
  },
}

export const memory: Suite = {
  subjects,
  processes: Object.keys(subjects).map((name) => [name]),
  extras: [],
  notes: [
    'End to end: a thousand to two thousand messages on their way at once (or a tenth of that), for every subject alike. ' +
      'How many decides much: reading costs @node-ts/bus-core, and ending a handler costs @nestjs/cqrs, more the more there are.',
    'Publishing: to one group whose handler is away, so every message is kept. Nothing is written to disk.',
    'Batching: calls of the same turn of the event loop are sent to the broker together.',
  ],
}
