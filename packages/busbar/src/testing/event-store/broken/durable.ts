import { setTimeout as later } from 'node:timers/promises'
import { MemoryEventStorage } from '../../../memory/event-storage.ts'
import type { Appended, EventStorage, StoredEvent, Wake } from '../../../store/index.ts'
import type { Transaction } from '../../../transaction/transaction.ts'
import { altered } from './altered.ts'
import type { Defect } from './defect.ts'

/** What only a storage can do wrong that outlives its process, is shared, or has transactions. */
export const durableDefects: readonly Defect[] = [
  {
    does: 'confirms before it has written',
    base: 'sqlite',
    caughtBy:
      'kill -9 while it appends to two streams: each append is whole or not there, and what was confirmed is there',
    saying: /appends confirmed, \d+ there/,
    wrap(storage) {
      let writing = Promise.resolve<unknown>(undefined)
      return altered(storage, {
        async append(appends, options) {
          writing = writing.then(() => later(30)).then(() => storage.append(appends, options))
          return appends.map(({ stream }) => ({ stream, revision: 0, position: '', repeated: false }))
        },
      })
    },
  },
  {
    does: 'commits each stream of an append by itself',
    base: 'sqlite',
    caughtBy:
      'kill -9 while it appends to two streams: each append is whole or not there, and what was confirmed is there',
    saying: /an append to two streams was torn apart/,
    wrap: (storage) =>
      altered(storage, {
        async append(appends, options) {
          const answers: Appended[] = []
          for (const one of appends) {
            answers.push(...(await storage.append([one], options)))
            await later(50)
          }
          return answers
        },
      }),
  },
  {
    does: 'keeps claims in its process',
    base: 'sqlite',
    caughtBy: 'checkpoints and their claims outlive a restart',
    saying: /the claim was forgotten/,
    wrap: (storage) => altered(storage, { checkpoints: ownCheckpoints() }),
  },
  {
    does: 'lets each process claim for itself',
    base: 'sqlite',
    caughtBy: 'claims hold between processes, and that of a process killed with -9 runs out',
    saying: /undefined/,
    wrap: (storage) => altered(storage, { checkpoints: ownCheckpoints() }),
  },
  {
    does: 'wakes for the appends of its own process only',
    base: 'sqlite',
    caughtBy: 'a process that appends nothing itself sees soon what another appends, one after the other',
    saying: /to see event 0 of process/,
    wrap(storage) {
      const wakes = new Set<Wake>()
      return altered(storage, {
        async append(appends, options) {
          const answers = await storage.append(appends, options)
          for (const wake of wakes) wake()
          return answers
        },
        async listen(wake) {
          wakes.add(wake)
          return async () => void wakes.delete(wake)
        },
      })
    },
  },
  {
    does: 'forgets known ids with its process',
    base: 'sqlite',
    caughtBy: 'a repetition through another process is known',
    saying: /was expected not to exist/,
    wrap(storage) {
      const known = new Set<string>()
      return altered(storage, {
        append(appends, options) {
          const fresh = appends.map((one) => ({
            ...one,
            events: one.events.map((event) => {
              const { id } = event.message
              if (known.has(id)) return event
              return { ...event, message: { ...event.message, id: `${id}-${process.pid}` } }
            }),
          }))
          for (const { message } of appends.flatMap(({ events }) => events)) known.add(message.id)
          return storage.append(fresh, options)
        },
      })
    },
  },
  {
    does: 'appends beside the transaction that it is given',
    base: 'sqlite',
    caughtBy:
      'what is appended in a transaction is not seen by others before the commit, and who follows is woken after it',
    saying: /deep-equal/,
    wrap: (storage) => {
      // Elsewhere: the lock of the transaction would hold it up.
      const beside = new MemoryEventStorage()
      return altered(storage, {
        append: (appends, options) =>
          options?.tx === undefined ? storage.append(appends, options) : beside.append(appends),
        readAll: (options) => beside.readAll(options),
        listen: (wake) => beside.listen(wake),
      })
    },
  },
  {
    does: 'runs inline when the events are committed',
    base: 'sqlite',
    caughtBy: 'an inline that rejects leaves nothing behind, and append rejects with its error',
    saying: /deep-equal/,
    wrap: (storage) =>
      altered(storage, {
        async append(appends, { inline, ...options } = {}) {
          const answers = await storage.append(appends, options)
          const nothing: Transaction = { dialect: 'sqlite', execute: () => Promise.resolve([]) }
          await inline?.(nothing, [])
          return answers
        },
      }),
  },
  {
    does: 'runs inline for repetitions too',
    base: 'sqlite',
    caughtBy: 'inline is not called for a repetition, nor for a refused append',
    saying: /2 !== 1/,
    wrap: (storage) =>
      altered(storage, {
        async append(appends, options = {}) {
          const answers = await storage.append(appends, options)
          const nothing: Transaction = { dialect: 'sqlite', execute: () => Promise.resolve([]) }
          if (answers.every(({ repeated }) => repeated)) await options.inline?.(nothing, [])
          return answers
        },
      }),
  },
  {
    does: 'gives inline the events of the first stream only',
    base: 'sqlite',
    caughtBy: 'inline runs once, is given what is stored, and what it writes is there with the events',
    saying: /deep-equal/,
    wrap: (storage) => inlineWith(storage, (stored) => stored.filter(({ stream }) => stream === stored[0]?.stream)),
  },
]

function ownCheckpoints(): EventStorage['checkpoints'] {
  return new MemoryEventStorage().checkpoints
}

function inlineWith(
  storage: EventStorage,
  change: (stored: readonly StoredEvent[]) => readonly StoredEvent[],
): EventStorage {
  return altered(storage, {
    append: (appends, { inline, ...options } = {}) =>
      storage.append(appends, {
        ...options,
        ...(inline === undefined ? {} : { inline: (tx, stored) => inline(tx, change(stored)) }),
      }),
  })
}
