import { setTimeout as later } from 'node:timers/promises'
import { byteLength } from '../../../message/body.ts'
import { MessageTooLargeError } from '../../../message/errors.ts'
import {
  type Append,
  type Appended,
  ConcurrencyError,
  DuplicateEventError,
  type EventStorage,
  meet,
} from '../../../store/index.ts'
import { altered, mapped, writing } from './altered.ts'
import type { Defect } from './defect.ts'

/** Writing, done wrong. */
export const appendingDefects: readonly Defect[] = [
  {
    does: 'checks no revision',
    caughtBy: 'a revision refuses a stream that is behind it or ahead of it, and the error tells both revisions',
    saying: /did not reject/,
    wrap: (storage) => each(storage, (one) => ({ ...one, expected: 'any' })),
  },
  {
    does: "takes 'none' for a stream without events that are still kept",
    caughtBy: 'a stream of which everything is forgotten goes on at its next revision',
    saying: /'none' to a stream whose events are forgotten did not reject/,
    wrap: (storage) =>
      altered(storage, {
        async append(appends, options) {
          const isEmpty = async (stream: string): Promise<boolean> => {
            for await (const _ of storage.readStream(stream)) return false
            return true
          }
          const changed: Append[] = []
          for (const one of appends) {
            changed.push(one.expected === 'none' && (await isEmpty(one.stream)) ? { ...one, expected: 'any' } : one)
          }
          return storage.append(changed, options)
        },
      }),
  },
  {
    does: 'looks at the revision some time before it writes',
    caughtBy:
      'of twenty appends at once that expect the same revision exactly one is taken, and the others are told so',
    saying: /deepStrictEqual|deep-equal/,
    wrap: (storage) =>
      altered(storage, {
        async append(appends, options) {
          for (const { stream, expected } of appends) meet(expected, await storage.info(stream))
          await later(5)
          return storage.append(
            appends.map((one) => ({ ...one, expected: 'any' })),
            options,
          )
        },
      }),
  },
  {
    does: 'tells another revision than the stream has',
    caughtBy: "'none' refuses a stream that has an event, and the error tells stream, expected and actual revision",
    saying: /deep-equal/,
    wrap: (storage) =>
      altered(storage, {
        append: (appends, options) =>
          storage.append(appends, options).catch((error: unknown) => {
            if (!(error instanceof ConcurrencyError)) throw error
            throw new ConcurrencyError(error.stream, error.expected, error.actual + 1)
          }),
      }),
  },
  {
    does: 'loses the last event of a large append',
    caughtBy: 'a thousand events of one append follow each other in the order given',
    saying: /998/,
    wrap: (storage) =>
      each(storage, (one) => ({ ...one, events: one.events.length < 100 ? one.events : one.events.slice(0, -1) })),
  },
  {
    does: 'writes a repetition again',
    caughtBy: 'an append that is made again answers as the first did, with repeated, and writes nothing',
    saying: /was expected not to exist and is at revision 2/,
    wrap(storage) {
      let count = 0
      const own = (id: string): string => `${id}#${++count}`
      const back = (id: string): string => id.replace(/#.*$/, '')
      const fresh = writing(storage, (event) => ({
        ...event,
        message: { ...event.message, id: own(event.message.id) },
      }))
      return altered(fresh, {
        readAll: (options) =>
          mapped(storage.readAll(options), (event) => ({
            ...event,
            message: { ...event.message, id: back(event.message.id) },
          })),
      })
    },
  },
  {
    does: 'looks at the revision before it looks for a repetition',
    caughtBy: 'a repetition is one whatever expected says now',
    saying: /expected at revision 1 and is at revision 3/,
    wrap: (storage) =>
      altered(storage, {
        async append(appends, options) {
          for (const { stream, expected } of appends) meet(expected, await storage.info(stream))
          return storage.append(appends, options)
        },
      }),
  },
  {
    does: 'takes an event of another stream for a repetition',
    caughtBy: 'an id that another stream has is refused with DuplicateEventError, and nothing is written',
    saying: /did not reject/,
    wrap: (storage) =>
      altered(storage, {
        append: (appends, options) =>
          storage.append(appends, options).catch((error: unknown) => {
            if (!(error instanceof DuplicateEventError)) throw error
            return appends.map(({ stream }) => ({ stream, revision: 0, position: '', repeated: true }))
          }),
      }),
  },
  {
    does: 'leaves out the events that it has of an append',
    caughtBy:
      'known and new ids in one append are refused with DuplicateEventError that names the stream and the known id',
    saying: /did not reject/,
    wrap(storage) {
      const known = new Set<string>()
      return altered(storage, {
        append(appends, options) {
          const fresh = appends.map((one) => ({
            ...one,
            events: one.events.filter(({ message }) => !known.has(message.id)),
          }))
          for (const { message } of appends.flatMap(({ events }) => events)) known.add(message.id)
          return storage.append(fresh, options)
        },
      })
    },
  },
  {
    does: 'appends to one stream after the other',
    caughtBy:
      'where one of several streams is not as expected nothing of any is written, and the error names the first that is wrong',
    saying: /deep-equal/,
    wrap: (storage) => oneByOne(storage),
  },
  {
    does: 'shows one stream of an append before the other',
    caughtBy: 'a reader sees all streams of an append or none of them',
    saying: /[12] of 3 events were seen/,
    wrap: (storage) => oneByOne(storage),
  },
  {
    does: 'lets appends of several events interleave',
    caughtBy: 'fifty appends at once that expect nothing are all taken, with revisions without gaps',
    saying: /torn apart/,
    wrap: (storage) =>
      altered(storage, {
        async append([append, ...more], options) {
          if (append === undefined || more.length > 0)
            return storage.append(append === undefined ? [] : [append, ...more], options)
          let last: readonly Appended[] = []
          for (const event of append.events) {
            last = await storage.append([{ ...append, events: [event] }], options)
            await later(1)
          }
          return last
        },
      }),
  },
  {
    does: 'counts characters and not bytes',
    caughtBy: 'a body over the limit is refused with MessageTooLargeError before anything of its append is written',
    saying: /an event over the limit did not reject/,
    wrap(storage) {
      const maxEventBytes = 100_000
      return altered(storage, {
        capabilities: { ...storage.capabilities, maxEventBytes },
        append(appends, options) {
          for (const { message } of appends.flatMap(({ events }) => events)) {
            const size = typeof message.body === 'string' ? message.body.length : byteLength(message.body)
            if (size > maxEventBytes) return Promise.reject(new MessageTooLargeError('too large'))
          }
          return storage.append(appends, options)
        },
      })
    },
  },
  {
    does: 'writes what comes before an event that is too large',
    caughtBy: 'a body over the limit is refused with MessageTooLargeError before anything of its append is written',
    saying: /deep-equal/,
    wrap: (storage) => oneByOne(storage),
  },
  {
    does: 'takes tx and inline and does nothing with them',
    caughtBy: 'a storage without transactions refuses tx and inline with UnsupportedError, and writes nothing',
    saying: /did not reject/,
    wrap: (storage) => altered(storage, { append: (appends) => storage.append(appends) }),
  },
]

function each(storage: EventStorage, change: (append: Append) => Append): EventStorage {
  return altered(storage, { append: (appends, options) => storage.append(appends.map(change), options) })
}

function oneByOne(storage: EventStorage): EventStorage {
  return altered(storage, {
    async append(appends, options) {
      const answers: Appended[] = []
      for (const one of appends) {
        answers.push(...(await storage.append([one], options)))
        await later(1)
      }
      return answers
    },
  })
}
