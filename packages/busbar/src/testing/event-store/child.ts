/**
 * A process that makes a target's storage and does as its parent says (see `script.ts`): the other end of `StorageProcess`.
 * Ends by itself when its parent is gone.
 */
import type { Append, EventStorage, StoredEvent } from '../../store/index.ts'
import { ConcurrencyError } from '../../store/index.ts'
import { serve, tell } from '../suite/serve.ts'
import { all, event, events } from './events.ts'
import { Follower } from './follower.ts'
import type { Command, Drained, Said } from './script.ts'
import type { StorageTargetModule } from './target.ts'

let storage: EventStorage | undefined

serve(obey)

function obey(command: Command): unknown {
  switch (command.do) {
    case 'start':
      return start(command)
    case 'call':
      return callOn(theStorage(), command.method, command.args)
    case 'read':
      return all(callOn(theStorage(), command.method, command.args) as AsyncIterable<StoredEvent>)
    case 'keep':
      return callOn(theStorage().checkpoints, command.method, command.args)
    case 'follow':
      return new Follower(theStorage(), ({ stream, revision, position, message: { id } }) => {
        void say({ followed: { stream, revision, position, id } })
      })
        .start()
        .then(() => undefined)
    case 'appendOn':
      void appendOn(command)
      return undefined
    case 'compete':
      return compete(command)
    case 'fill':
      return fill(command)
    case 'drain':
      return drain(command)
    case 'cycleListeners':
      return cycleListeners(command.count)
    case 'stop':
      return storage?.stop()
    default:
      return command satisfies never
  }
}

async function start({ module, options }: Extract<Command, { do: 'start' }>): Promise<void> {
  const target = (await import(module)) as StorageTargetModule
  storage = await target.createStorage(options)
  await storage.start()
}

function callOn(object: object, method: string, args: readonly unknown[]): unknown {
  const found = Reflect.get(object, method) as (...args: readonly unknown[]) => unknown
  return found.apply(object, args as unknown[])
}

async function appendOn({ streams, size }: Extract<Command, { do: 'appendOn' }>): Promise<void> {
  for (let n = 0; ; n++) {
    const appends: Append[] = streams.map((stream) => ({ stream, expected: 'any', events: events(size, n * size) }))
    await say({ trying: appends })
    await theStorage().append(appends)
    await say({ confirmed: appends })
  }
}

async function compete({ stream, count }: Extract<Command, { do: 'compete' }>): Promise<readonly number[]> {
  const won: number[] = []
  for (let last = (await theStorage().info(stream)).revision; last < count - 1;) {
    try {
      const [appended] = await theStorage().append([
        { stream, expected: last === -1 ? 'none' : last, events: [event()] },
      ])
      last = appended?.revision ?? last
      won.push(last)
    } catch (error) {
      if (!(error instanceof ConcurrencyError)) throw error
      last = (await theStorage().info(stream)).revision
    }
  }
  return won
}

async function fill({ stream, count, bytes }: Extract<Command, { do: 'fill' }>): Promise<void> {
  const BATCH = 500
  for (let n = 0; n < count; n += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, count - n) }, (_, index) =>
      event({ body: String(n + index).padEnd(bytes, '.') }),
    )
    await theStorage().append([{ stream, expected: n === 0 ? 'none' : n - 1, events: batch }])
  }
}

async function drain({ stream, page }: Extract<Command, { do: 'drain' }>): Promise<Drained> {
  const before = heap()
  let [count, most, wrong]: [number, number, string | undefined] = [0, before, undefined]
  let last: StoredEvent | undefined
  const read = (from: StoredEvent | undefined): AsyncIterable<StoredEvent> => {
    const limit = page === undefined ? {} : { limit: page }
    if (stream === undefined)
      return theStorage().readAll({ ...(from === undefined ? {} : { after: from.position }), ...limit })
    return theStorage().readStream(stream, { from: from === undefined ? 0 : from.revision + 1, ...limit })
  }
  for (let more = true; more;) {
    const began = count
    for await (const one of read(last)) {
      if (last !== undefined && one.position <= last.position) wrong ??= `${one.position} came after ${last.position}`
      if (stream !== undefined && one.revision !== count) wrong ??= `revision ${one.revision} came as number ${count}`
      last = one
      if (++count % 5_000 === 0) most = Math.max(most, heap())
    }
    more = page !== undefined && count - began === page
  }
  return { count, wrong, grown: most - before }
}

/** Listens and ends it, and reads a little and ends that. */
async function cycleListeners(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const end = await theStorage().listen(() => undefined)
    for await (const _ of theStorage().readAll()) break
    await end()
  }
}

function heap(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

function theStorage(): EventStorage {
  if (storage === undefined) throw new Error('start comes first')
  return storage
}

function say(said: Said): Promise<void> {
  return tell(said)
}
