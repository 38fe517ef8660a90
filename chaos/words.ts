/** What a run and its processes tell each other. */
import type { TargetOptions } from '../packages/busbar/src/testing/conformance/target.ts'
import type { Numbered } from './message.ts'

/** How a process makes its broker. */
export interface Place {
  /** URL of the module of the target. */
  readonly module: string
  readonly options: TargetOptions
}

/** The first word to a process. */
export interface Job {
  readonly place: Place
  readonly seed: number
}

export interface PublisherJob extends Job {
  /** Keys that this publisher alone publishes, each with the number of its next message. */
  readonly next: Readonly<Record<string, number>>
  /** Messages to publish before it is done. */
  readonly count: number
  /** Messages in a second, at most. */
  readonly rate: number
}

/** One handler run that came to its end. */
export interface Handling extends Numbered {
  readonly group: string
  /** Milliseconds of the machine's clock, which all its processes share: when the run began and when it ended. */
  readonly began: number
  readonly ended: number
}

export type Word =
  /** The consumer is subscribed in all groups, or the publisher has a broker. */
  | { readonly ready: true }
  /** Said before these messages are handed to the bus. */
  | { readonly published: readonly Numbered[] }
  | { readonly confirmed: readonly Numbered[] }
  | { readonly handled: readonly Handling[] }
  /** Transactions of an application that it rolled back on purpose. */
  | { readonly rolledBack: number }
  /** The publisher has nothing more to publish. */
  | { readonly done: true }
  /** A start, subscribe or publish that was refused; it is tried again. */
  | { readonly trouble: string }

/** The last word to a process. */
export interface Stop {
  readonly stop: true
}

/**
 * Resolves when the words are in the pipe: whoever is killed with -9 afterwards has said them, and the other end reads them.
 */
export function say(word: Word): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve()
    process.send(word, undefined, {}, () => resolve())
  })
}

/** Waits for the job. A process whose run is gone ends by itself. */
export function job<T extends Job>(): Promise<T> {
  if (!process.connected) process.exit(0)
  process.on('disconnect', () => process.exit(0))
  return new Promise((resolve) => process.once('message', (given) => resolve(given as T)))
}

export function machineTime(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
