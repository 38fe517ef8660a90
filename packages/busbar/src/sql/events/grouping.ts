import type { SqlContext } from '../context.ts'
import { BrokerError } from '../../broker/index.ts'
import { pauseAfter } from '../backoff.ts'
import type { EventsDialect } from './dialect.ts'
import { appendIn, EntangledError } from './append.ts'
import type { Outcome, Prepared, Written } from './prepared.ts'

interface Waiting {
  readonly append: Prepared
  readonly bytes: number
  readonly resolve: (written: Written) => void
  readonly reject: (error: unknown) => void
}

/** Most appends of a group, events and characters of their bodies: a commit that others wait for must not take long. */
const MOST = { appends: 500, events: 2_000, size: 4 * 1024 * 1024 }
/** How often a write is tried again where the connection breaks. */
const TRIES = 10

/**
 * Appends of different callers that wait at the same time are committed together: what a commit costs is shared. Appends to one
 * stream are written in the order of the calls.
 */
export class Grouping {
  private readonly context: SqlContext
  private readonly dialect: EventsDialect
  private waiting: Waiting[] = []
  private readonly busy = new Set<string>()
  private underWay = 0
  private begins = false

  constructor(context: SqlContext, dialect: EventsDialect) {
    this.context = context
    this.dialect = dialect
  }

  append(append: Prepared): Promise<Written> {
    return new Promise((resolve, reject) => {
      let bytes = 0
      for (const { message } of append.events) bytes += sizeOf(message.body)
      this.waiting.push({ append, bytes, resolve, reject })
      if (this.begins || this.underWay >= this.dialect.groupsAtOnce) return
      this.begins = true
      // Those that are called in the same turn go together.
      queueMicrotask(() => this.begin())
    })
  }

  private begin(): void {
    this.begins = false
    while (this.waiting.length > 0 && this.underWay < this.dialect.groupsAtOnce) {
      const group = this.take()
      if (group.length === 0) return
      this.underWay++
      void this.write(group).finally(() => {
        this.underWay--
        for (const { append } of group) this.busy.delete(append.stream)
        this.begin()
      })
    }
  }

  /** As many as go together; those to a stream that is being written to wait, and what comes after them to that stream. */
  private take(): Waiting[] {
    const group: Waiting[] = []
    const left: Waiting[] = []
    const taken = new Set<string>()
    const passed = new Set<string>()
    let [events, size] = [0, 0]
    for (const one of this.waiting) {
      const { stream } = one.append
      const isFull =
        group.length > 0 &&
        (group.length >= MOST.appends ||
          events + one.append.events.length > MOST.events ||
          size + one.bytes > MOST.size)
      const waits =
        isFull || passed.has(stream) || this.busy.has(stream) || (!this.dialect.groupsStreams && taken.has(stream))
      if (waits) {
        passed.add(stream)
        left.push(one)
        continue
      }
      group.push(one)
      taken.add(stream)
      events += one.append.events.length
      size += one.bytes
    }
    this.waiting = left
    for (const stream of taken) this.busy.add(stream)
    return group
  }

  private async write(group: readonly Waiting[]): Promise<void> {
    const { context, dialect } = this
    let outcomes: readonly Outcome[]
    try {
      outcomes = await persistently(context, () =>
        dialect.group(
          context,
          group.map(({ append }) => append),
        ),
      )
    } catch (error) {
      if (!dialect.isEntangled(error)) {
        for (const { reject } of group) reject(error)
        return
      }
      outcomes = []
    }
    for (const [index, { append, resolve, reject }] of group.entries()) {
      const outcome = outcomes[index]
      try {
        if (outcome === undefined) resolve((await appendAlone(context, dialect, [append]))[0] as Written)
        else if ('written' in outcome) resolve(outcome.written)
        else reject(outcome.error)
      } catch (error) {
        reject(error)
      }
    }
  }
}

/** In a transaction of its own. */
export function appendAlone(
  context: SqlContext,
  dialect: EventsDialect,
  appends: readonly Prepared[],
): Promise<readonly Written[]> {
  return persistently(context, () =>
    disentangled(dialect, () => context.executor.write((sql) => appendIn(sql, dialect, appends))),
  )
}

/** Again where somebody else came between, because then it is seen what they did. */
export async function disentangled<T>(
  dialect: EventsDialect,
  work: () => Promise<T>,
  mayRepeat: () => boolean = () => true,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      const isEntangled = error instanceof EntangledError || dialect.isEntangled(error)
      if (!isEntangled || tries === TRIES || !mayRepeat()) throw error
    }
  }
}

/** Again where the connection broke: what had been written all the same is recognised by the ids of its events. */
export async function persistently<T>({ executor }: SqlContext, work: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await work()
    } catch (error) {
      if (executor.passes?.(error) !== true || failures === TRIES) throw error
      await new Promise((resolve) => setTimeout(resolve, pauseAfter(failures)))
    }
  }
}

function sizeOf(body: unknown): number {
  if (typeof body === 'string' || body instanceof Uint8Array) return body.length
  throw new BrokerError('an event has no encoded body: a database takes text or bytes')
}
