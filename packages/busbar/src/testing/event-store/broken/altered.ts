import type { Checkpoints, EventStorage, NewEvent, StoredEvent } from '../../../store/index.ts'

/** The storage with some of it replaced. */
export function altered(storage: EventStorage, changes: Partial<EventStorage>): EventStorage {
  return over(storage, changes)
}

/** The storage with some of its checkpoints replaced. */
export function keeping(storage: EventStorage, change: (sound: Checkpoints) => Partial<Checkpoints>): EventStorage {
  return altered(storage, { checkpoints: over(storage.checkpoints, change(storage.checkpoints)) })
}

/** The storage with what it is given changed. */
export function writing(storage: EventStorage, change: (event: NewEvent) => NewEvent): EventStorage {
  return altered(storage, {
    append: (appends, options) =>
      storage.append(
        appends.map((one) => ({ ...one, events: one.events.map(change) })),
        options,
      ),
  })
}

/** The storage with what it reads changed. */
export function showing(storage: EventStorage, change: (event: StoredEvent) => StoredEvent): EventStorage {
  return altered(storage, {
    readStream: (stream, options) => mapped(storage.readStream(stream, options), change),
    readAll: (options) => mapped(storage.readAll(options), change),
    readByCorrelation: (id) => mapped(storage.readByCorrelation(id), change),
  })
}

export async function* mapped(
  reading: AsyncIterable<StoredEvent>,
  change: (event: StoredEvent) => StoredEvent,
): AsyncGenerator<StoredEvent> {
  for await (const event of reading) yield change(event)
}

export async function* chosen(
  reading: AsyncIterable<StoredEvent>,
  isChosen: (event: StoredEvent) => boolean,
  limit = Infinity,
): AsyncGenerator<StoredEvent> {
  let count = 0
  for await (const event of reading) {
    if (count >= limit) return
    if (!isChosen(event)) continue
    count++
    yield event
  }
}

function over<T extends object>(sound: T, changes: Partial<T>): T {
  return new Proxy(sound, {
    get(target, name): unknown {
      if (name in changes) return Reflect.get(changes, name)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
