import { setTimeout as later } from 'node:timers/promises'
import type { EventStorage, StreamInfo, Wake } from '../../../store/index.ts'
import { altered, chosen, showing } from './altered.ts'
import type { Defect } from './defect.ts'

/** Wakes, removal, and the way from start to stop, done wrong. */
export const tellingDefects: readonly Defect[] = [
  {
    does: 'wakes one listener only',
    caughtBy: 'who listens is woken after an append, each of several listeners',
    saying: /three listeners to be woken/,
    wrap(storage) {
      let listeners = 0
      return altered(storage, {
        listen: (wake) => (listeners++ === 0 ? storage.listen(wake) : Promise.resolve(() => Promise.resolve())),
      })
    },
  },
  {
    does: 'wakes before it writes',
    caughtBy: 'a wake comes when the event can be read, not before it',
    saying: /a wake after which event 1 can be read/,
    wrap(storage) {
      const wakes = new Set<Wake>()
      return altered(storage, {
        async append(appends, options) {
          for (const wake of wakes) wake()
          await later(50)
          return storage.append(appends, options)
        },
        async listen(wake) {
          wakes.add(wake)
          return async () => void wakes.delete(wake)
        },
      })
    },
  },
  {
    does: 'wakes who has ended listening',
    caughtBy: 'who has ended listening is woken no more, and may end it twice',
    saying: /!== 0/,
    wrap: (storage) =>
      altered(storage, {
        async listen(wake) {
          await storage.listen(wake)
          return () => Promise.resolve()
        },
      }),
  },
  {
    does: 'swallows a wake that comes soon after another',
    caughtBy: 'catching up and then live: each event once, in order, without a gap at the switch',
    saying: /600 events to be followed/,
    wrap: (storage) =>
      altered(storage, {
        listen(wake) {
          let last = -Infinity
          return storage.listen(() => {
            if (performance.now() - last < 1_000) return
            last = performance.now()
            wake()
          })
        },
      }),
  },
  {
    does: 'forgets the tombstone',
    caughtBy: 'each form of expected refuses a deleted stream with StreamDeletedError',
    saying: /an append with expected any to a deleted stream did not reject/,
    wrap: (storage) =>
      altered(storage, {
        async deleteStream(stream) {
          await storage.truncateBefore(stream, Infinity)
          return storage.info(stream)
        },
      }),
  },
  {
    does: 'takes events of a deleted stream out of the stream only',
    caughtBy: 'events of a deleted stream are gone for every reader, and those of others stay',
    saying: /deep-equal/,
    wrap: (storage) => hiding(storage),
  },
  {
    does: 'deletes a stream whatever is expected of it',
    caughtBy: 'a stream is deleted only where it is as expected',
    saying: /a deletion that expects 0 did not reject/,
    wrap: (storage) => altered(storage, { deleteStream: (stream) => storage.deleteStream(stream) }),
  },
  {
    does: 'tells another time with each look at a tombstone',
    caughtBy: 'a tombstone keeps the name, the last revision and the time, and deleting again changes none of them',
    saying: /deep-equal/,
    wrap(storage) {
      let n = 0
      const told = (info: StreamInfo): StreamInfo =>
        info.deletedAt === undefined ? info : { ...info, deletedAt: info.deletedAt + n++ }
      return altered(storage, {
        info: async (stream) => told(await storage.info(stream)),
        deleteStream: async (stream, options) => told(await storage.deleteStream(stream, options)),
      })
    },
  },
  {
    does: 'numbers a stream anew when it is truncated',
    caughtBy: 'truncateBefore forgets the events before a revision and returns how many; revisions stay as they are',
    saying: /deep-equal/,
    wrap(storage) {
      const firsts = new Map<string, number>()
      const anew = showing(storage, (event) => ({
        ...event,
        revision: event.revision - (firsts.get(event.stream) ?? 0),
      }))
      return altered(anew, {
        truncateBefore(stream, revision) {
          firsts.set(stream, revision)
          return storage.truncateBefore(stream, revision)
        },
      })
    },
  },
  {
    does: 'tells of truncated events again',
    caughtBy: 'truncateBefore forgets nothing twice, nothing of others, and nothing of a stream that never was',
    saying: /!== 0|3 !==/,
    wrap: (storage) =>
      altered(storage, {
        async truncateBefore(stream, revision) {
          await storage.truncateBefore(stream, revision)
          return Math.min(revision, (await storage.info(stream)).revision + 1)
        },
      }),
  },
  {
    does: 'counts what was removed',
    caughtBy: 'events of a deleted stream are gone for every reader, and those of others stay',
    saying: /4 !== 2/,
    wrap(storage) {
      let count = 0
      return altered(storage, {
        async append(appends, options) {
          const answers = await storage.append(appends, options)
          count += appends.flatMap(({ events }) => events).length
          return answers
        },
        head: async () => ({ ...(await storage.head()), count }),
      })
    },
  },
  {
    does: 'appends after it was stopped',
    caughtBy: 'a stopped storage refuses every call with an error that says so, and does not hang',
    saying: /append after stop did not reject/,
    wrap: (storage) =>
      altered(storage, {
        append: (appends) =>
          storage
            .append(appends)
            .catch(() => appends.map(({ stream }) => ({ stream, revision: 0, position: '', repeated: false }))),
      }),
  },
  {
    does: 'leaks a timer with each listener',
    caughtBy: 'two hundred listeners and readings that come and go leak nothing',
    saying: /timers and handles of ended listeners to be gone/,
    wrap: (storage) =>
      altered(storage, {
        listen(wake) {
          setInterval(() => undefined, 1_000)
          return storage.listen(wake)
        },
      }),
  },
  {
    does: 'keeps its process alive after stop',
    caughtBy: 'a process whose storage has stopped ends by itself',
    saying: /to end/,
    wrap(storage) {
      setInterval(() => undefined, 1_000)
      return storage
    },
  },
  {
    does: 'says that it is durable and is not',
    caughtBy: 'everything is there after a restart: events, order, positions, revisions and head',
    saying: /deep-equal/,
    wrap: (storage) => altered(storage, { capabilities: { ...storage.capabilities, durable: true } }),
  },
  {
    does: 'says that processes share it and they do not',
    caughtBy: "two processes see each other's appends soon, in the same order",
    saying: /to see 50 events of each process/,
    wrap: (storage) => altered(storage, { capabilities: { ...storage.capabilities, multiProcess: true } }),
  },
  {
    does: 'lets two processes win a revision',
    caughtBy: 'two processes that append at the same revision: each revision is won by exactly one of them',
    saying: /deep-equal/,
    wrap: (storage) => altered(storage, { capabilities: { ...storage.capabilities, multiProcess: true } }),
  },
]

/** A storage whose deleted streams are hidden from `readStream` and nowhere else. */
function hiding(storage: EventStorage): EventStorage {
  const deleted = new Map<string, StreamInfo>()
  return altered(storage, {
    async deleteStream(stream) {
      const info = { ...(await storage.info(stream)), deletedAt: Date.now() }
      deleted.set(stream, info)
      return info
    },
    readStream: (stream, options) => chosen(storage.readStream(stream, options), () => !deleted.has(stream)),
  })
}
