/**
 * What a handler in a child process does, as data, and what it reports. A function cannot be sent to another process.
 */
import type { Outgoing, SubscriptionSpec } from '../../broker/index.ts'
import type { RetryPolicy, SubscribeOptions } from '../../bus/index.ts'
import type { TargetOptions } from './target.ts'

/** The first rule that matches a delivery is followed; without one it is acked. */
export interface Rule {
  /** Which messages. Default: all. */
  readonly when?: { readonly ids?: readonly string[]; readonly key?: string; readonly body?: string }
  /** Only while the delivery's `attempts` are below this. */
  readonly attemptsBelow?: number
  /** Milliseconds before it does what it does. Default 0. */
  readonly slow?: number
  /** Tells the broker that so many runs have begun (`Delivery.began`), as a retry does, and reports `retrying`. */
  readonly began?: number
  readonly act: Step
}

export type Step =
  | { readonly do: 'ack' }
  /** Waits until the parent says `open`, then acks. */
  | { readonly do: 'hold' }
  /** Ends this process as kill -9 does. */
  | { readonly do: 'kill' }
  /** Blocks the event loop until the file exists, so that no heartbeat is sent; then settles. */
  | { readonly do: 'block'; readonly until: string; readonly verdict: 'ack' | 'deadLetter' }
  | { readonly do: 'redeliver'; readonly after: number }
  | { readonly do: 'deadLetter' }
  | { readonly do: 'release' }
  /** For handlers on a bus. */
  | { readonly do: 'throw' }

/** Told to the parent before a handler begins, when it has its verdict, and when its signal is aborted. */
export interface Report {
  readonly what: 'began' | 'retrying' | 'ended' | 'aborted'
  readonly member: string
  readonly id: string
  readonly key: string | undefined
  readonly body: string
  /** Runs known to have begun before this one. */
  readonly attempts: number
  readonly redeliveries: number
  readonly crashes: number
  /** Milliseconds of a monotonic clock that all processes of the machine share. */
  readonly at: number
  readonly pid: number
}

export type Command =
  | { readonly do: 'start'; readonly module: string; readonly options: TargetOptions }
  | {
      readonly do: 'subscribe'
      readonly member: string
      readonly spec: SubscriptionSpec
      readonly rules: readonly Rule[]
      /** Counts deliveries and reports none of them. */
      readonly quiet: boolean
    }
  | {
      readonly do: 'handle'
      readonly member: string
      readonly topic: string
      readonly options: SubscribeOptions
      readonly retry: Partial<Omit<RetryPolicy, 'retryable'>>
      readonly rules: readonly Rule[]
    }
  | { readonly do: 'unsubscribe'; readonly member: string; readonly deadline?: number }
  | { readonly do: 'publish'; readonly batch: readonly Outgoing[] }
  /** Publishes numbered messages until the process ends, `lanes` of them at a time, each lane a key of its own. */
  | { readonly do: 'publishOn'; readonly topic: string; readonly lanes: number }
  | { readonly do: 'open' }
  | { readonly do: 'count'; readonly member: string }
  | { readonly do: 'stop'; readonly deadline?: number }

/** Child to parent, beside answers. */
export type Said =
  | { readonly report: Report }
  /** A message of `publishOn` that was confirmed. */
  | { readonly confirmed: string }
