import { categoryOf, type StoredEvent } from '../../../store/index.ts'
import { altered, chosen, mapped, showing } from './altered.ts'
import type { Defect } from './defect.ts'

/** Reading, done wrong. */
export const readingDefects: readonly Defect[] = [
  {
    does: 'reads forwards only',
    caughtBy: 'a stream is read forwards and backwards, and events of other streams are not among its own',
    saying: /deep-equal/,
    wrap: (storage) =>
      altered(storage, {
        readStream: (stream, options) => storage.readStream(stream, { ...options, direction: 'forwards' }),
      }),
  },
  {
    does: 'begins a range behind its first revision',
    caughtBy: 'from and to are the first and the last revision that is read forwards, both of them included',
    saying: /"from":3/,
    wrap: (storage) =>
      altered(storage, {
        readStream: (stream, { from, ...options } = {}) =>
          storage.readStream(stream, { ...options, ...(from === undefined ? {} : { from: from + 1 }) }),
      }),
  },
  {
    does: 'takes from and to of a backwards reading the other way round',
    caughtBy: 'from and to are the first and the last revision that is read backwards, both of them included',
    saying: /"direction":"backwards","from":3/,
    wrap: (storage) =>
      altered(storage, {
        readStream(stream, options = {}) {
          const { from, to, ...rest } = options
          if (options.direction !== 'backwards') return storage.readStream(stream, options)
          const swapped = { ...(to === undefined ? {} : { from: to }), ...(from === undefined ? {} : { to: from }) }
          return storage.readStream(stream, { ...rest, ...swapped })
        },
      }),
  },
  {
    does: 'knows no limit in a stream',
    caughtBy: 'limit is the most events that are read, in both directions and within a range',
    saying: /"limit":3/,
    wrap: (storage) =>
      altered(storage, { readStream: (stream, { limit: _, ...options } = {}) => storage.readStream(stream, options) }),
  },
  {
    does: 'reads after a position together with the event at it',
    caughtBy: 'after begins behind exactly this position',
    saying: /deep-equal/,
    wrap: (storage) =>
      altered(storage, {
        readAll: ({ after = '', limit, ...options } = {}) =>
          chosen(storage.readAll(options), ({ position }) => position >= after, limit),
      }),
  },
  {
    does: 'leaves out the event behind a position',
    caughtBy: 'limit is the most events that are read, and pages by after and limit make up the whole',
    saying: /pages of/,
    wrap: (storage) =>
      altered(storage, {
        async *readAll({ after = '', ...options } = {}) {
          let isFirst = after !== ''
          for await (const event of storage.readAll({ ...options, after })) {
            if (!isFirst) yield event
            isFirst = false
          }
        },
      }),
  },
  {
    does: 'counts for the limit what it does not choose',
    caughtBy: 'types choose events of these types only, and limit counts what is chosen',
    saying: /deep-equal/,
    wrap: (storage) =>
      altered(storage, {
        readAll: ({ types, ...options } = {}) =>
          chosen(storage.readAll(options), ({ message }) => types === undefined || types.includes(message.type)),
      }),
  },
  {
    does: 'chooses categories by how a name begins',
    caughtBy: "categories choose streams by what is before the first '-' of their name",
    saying: /orders-1/,
    wrap: (storage) =>
      altered(storage, {
        readAll: ({ categories, limit, ...options } = {}) =>
          chosen(
            storage.readAll(options),
            ({ stream }) => categories === undefined || categories.some((one) => categoryOf(stream).startsWith(one)),
            limit,
          ),
      }),
  },
  {
    does: 'chooses by type or by category where both are asked',
    caughtBy: 'types and categories together choose what is both',
    saying: /!==/,
    wrap: (storage) =>
      altered(storage, {
        readAll({ types, categories, limit, ...options } = {}) {
          const isAsked = ({ stream, message }: StoredEvent): boolean =>
            (types === undefined && categories === undefined) ||
            types?.includes(message.type) === true ||
            categories?.includes(categoryOf(stream)) === true
          return chosen(storage.readAll(options), isAsked, limit)
        },
      }),
  },
  {
    does: 'reads the whole store stream by stream',
    caughtBy: 'the whole store is read in the order of the appends, with positions that rise',
    saying: /deep-equal/,
    wrap: (storage) =>
      altered(storage, {
        async *readAll(options = {}) {
          const read: StoredEvent[] = []
          for await (const event of storage.readAll(options)) read.push(event)
          yield* read.toSorted((a, b) => (a.stream < b.stream ? -1 : a.stream > b.stream ? 1 : a.revision - b.revision))
        },
      }),
  },
  {
    does: 'finds by correlation only what is in the first stream of it',
    caughtBy: 'events are read by correlation id, across streams, in the order of the whole store',
    saying: /!==/,
    wrap: (storage) =>
      altered(storage, {
        async *readByCorrelation(id) {
          let first: string | undefined
          for await (const event of storage.readByCorrelation(id)) {
            first ??= event.stream
            if (event.stream === first) yield event
          }
        },
      }),
  },
  {
    does: 'tells a position of its own in a stream',
    caughtBy: 'an event is the same, at the same position, however it is read',
    saying: /deep-equal/,
    wrap: (storage) =>
      altered(storage, {
        readStream: (stream, options) =>
          mapped(storage.readStream(stream, options), (event) => ({ ...event, position: `${event.position}s` })),
      }),
  },
  {
    does: 'treats every body as text',
    caughtBy: 'bytes come back as they were: all 256 of them, and such as are no UTF-8',
    saying: /body/,
    wrap: (storage) =>
      showing(storage, (event) => {
        const { body } = event.message
        if (!(body instanceof Uint8Array)) return event
        return {
          ...event,
          message: { ...event.message, body: new TextEncoder().encode(new TextDecoder().decode(body)) },
        }
      }),
  },
  {
    does: 'makes no bytes at all an empty text',
    caughtBy: 'an empty text and no bytes at all come back as what they were',
    saying: /body/,
    wrap: (storage) =>
      showing(storage, (event) =>
        event.message.body instanceof Uint8Array && event.message.body.length === 0
          ? { ...event, message: { ...event.message, body: '' } }
          : event,
      ),
  },
  {
    does: 'keeps times to the second',
    caughtBy: 'id, type, source, time to the millisecond, version, revision and priority come back as they were',
    saying: /000Z/,
    wrap: (storage) =>
      showing(storage, (event) => {
        const time = new Date(Math.floor(event.message.time.getTime() / 1_000) * 1_000)
        return { ...event, message: { ...event.message, time } }
      }),
  },
  {
    does: 'drops metadata that it does not know',
    caughtBy: 'metadata comes back as it was: correlation, causation, user, tenant, trace and a hundred of its own',
    saying: /metadata/,
    wrap: (storage) =>
      showing(storage, (event) => {
        const { correlationId } = event.message.metadata
        return { ...event, message: { ...event.message, metadata: { correlationId } } }
      }),
  },
  {
    does: 'makes the subject of the key',
    caughtBy: 'what an event does not have stays absent, and a key that differs from the subject stays so',
    saying: /subject/,
    wrap: (storage) =>
      showing(storage, (event) => {
        const { subject, key } = event.message
        return { ...event, message: { ...event.message, subject: subject ?? key } }
      }),
  },
  {
    does: 'holds in memory what it has read',
    caughtBy: 'memory stays flat while the whole store is read',
    saying: /the heap grew by/,
    wrap(storage) {
      const held: StoredEvent[] = []
      return showing(storage, (event) => {
        held.push(structuredClone(event))
        return event
      })
    },
  },
]
