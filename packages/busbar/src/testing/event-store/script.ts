/** What a child process does with its storage, as data, and what it tells. */
import type { Append, Checkpoints, EventStorage, StoredEvent } from '../../store/index.ts'
import type { TargetOptions } from '../suite/target.ts'

type Methods<T> = { [Name in keyof T]-?: T[Name] extends (...args: never) => unknown ? Name : never }[keyof T]

export type Reading = 'readStream' | 'readAll' | 'readByCorrelation'
export type Calling = Exclude<Methods<EventStorage>, Reading | 'listen' | 'start' | 'stop'>
export type Keeping = Methods<Checkpoints>

export type Command =
  | { readonly do: 'start'; readonly module: string; readonly options: TargetOptions }
  | { readonly do: 'call'; readonly method: Calling; readonly args: readonly unknown[] }
  | { readonly do: 'read'; readonly method: Reading; readonly args: readonly unknown[] }
  | { readonly do: 'keep'; readonly method: Keeping; readonly args: readonly unknown[] }
  /** Catches up from the beginning and goes on live, and tells of each event. */
  | { readonly do: 'follow' }
  /** Appends to these streams together until the process ends, `size` events to each, and tells before and after. */
  | { readonly do: 'appendOn'; readonly streams: readonly string[]; readonly size: number }
  /** Appends one event at a time, each at the revision after the last, until the stream has so many. Answers with the revisions that it won. */
  | { readonly do: 'compete'; readonly stream: string; readonly count: number }
  /** Appends `count` events to one stream. */
  | { readonly do: 'fill'; readonly stream: string; readonly count: number; readonly bytes: number }
  /** Reads the whole store or a stream by pages. Answers with a `Drained`. */
  | { readonly do: 'drain'; readonly stream?: string; readonly page?: number }
  | { readonly do: 'cycleListeners'; readonly count: number }
  | { readonly do: 'stop' }

export interface Drained {
  readonly count: number
  /** What is out of order, in words. */
  readonly wrong: string | undefined
  /** Most bytes of heap in use beyond those before the first event. */
  readonly grown: number
}

export type Said =
  | { readonly followed: Pick<StoredEvent, 'stream' | 'revision' | 'position'> & { readonly id: string } }
  | { readonly trying: readonly Append[] }
  | { readonly confirmed: readonly Append[] }
