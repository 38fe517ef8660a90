/** Numbers of one group on one topic. */
export interface GroupMetrics {
  readonly group: string
  readonly topic: string
  /** Messages confirmed and not yet settled by this group (waiting, in flight and due again). */
  readonly lag: number
  /** Unix milliseconds at which the oldest of them was made, by its own `time`. Absent: there is none, or the broker cannot tell. */
  readonly oldest?: number
  /** Of them, handed to members of this process and not settled. */
  readonly inFlight: number
  /** Of them, waiting to be redelivered. */
  readonly redelivering: number
  /** Parked behind a failed message of their key. */
  readonly parked: number
  /** Dead letters kept for this group. */
  readonly dead: number
}

export interface TopicMetrics {
  readonly topic: string
  /** Messages that the broker keeps. */
  readonly depth: number
  /** Of them or beside them, waiting for their `deliverAt`. */
  readonly delayed: number
}

/** Committed messages that cannot be handed out yet, because a transaction which began earlier is still open (Postgres). */
export interface HeldBack {
  /** How many messages wait for it. */
  readonly messages: number
  /** Who holds them back, for people: process id, user, application and state of the session, or the prepared transaction. */
  readonly by: string
  /** Unix milliseconds at which its transaction began, where the server tells. */
  readonly since?: number
}

/** What is written and has still to be handed on to a broker: an outbox, or an event store with a relay. */
export interface RelayMetrics {
  /** Messages that are committed and that the broker has not confirmed. */
  readonly unsent: number
  /** Milliseconds since the oldest of them was made or stored; 0 where there is none. */
  readonly oldestUnsentAge: number
  /** Beside them: what the broker can never take. It stays where it was written. */
  readonly refused: number
  /** Confirmed by the broker, moved by this process since it began. */
  readonly moved: number
  /** Why the last attempt of this process failed; absent once one has succeeded. */
  readonly failing?: string
}

export interface BrokerMetrics {
  /** What it keeps before it publishes. Absent: it keeps nothing first, or that is published by the same commit. */
  readonly relay?: RelayMetrics
  /** Absent: nothing is held back, or this broker knows no such thing. */
  readonly heldBack?: HeldBack
  readonly topics: readonly TopicMetrics[]
  readonly groups: readonly GroupMetrics[]
}
