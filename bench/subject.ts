import type { Tally } from './tally.ts'

/** Something that is measured: Busbar, the raw baseline or a peer, set up and warm. */
export interface Subject {
  /** Counts the messages that its handler was given. */
  readonly tally: Tally
  /** Publishes message `n`; resolves when it is confirmed. */
  readonly one: (n: number) => unknown
  /** Publishes `count` messages at once, each with a call of its own; resolves when all are confirmed. */
  readonly window: (from: number, count: number) => unknown
  /** Publishes `count` messages with one call. */
  readonly batch?: (from: number, count: number) => unknown
  /** Where messages can wait for a handler that is away. Begins with the handler there. */
  readonly line?: {
    /** The handler goes; what is published from now on waits for it. What waited before is forgotten. */
    readonly away: () => Promise<void>
    /** The handler comes back to what waits. */
    readonly back: () => Promise<void>
    /** Nothing waits: what is published while the handler is away is gone. */
    readonly forgets?: boolean
  }
  readonly close: () => Promise<void>
}

/** Sets a subject up. `folder` is its own, empty, and removed afterwards. */
export type Open = (payloadBytes: number, folder: string) => Promise<Subject>

/** Many calls of `one` at once, as `Promise.all` of a user. */
export function together(one: Subject['one']): Subject['window'] {
  return (from, count) => {
    const calls: unknown[] = []
    for (let n = from; n < from + count; n++) calls.push(one(n))
    return Promise.all(calls)
  }
}
