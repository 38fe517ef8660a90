/** What a broker can do. Each field is checked by the conformance suite, both ways: what it claims and what it denies. */
export interface Capabilities {
  /** Bodies never leave the process: the codec's copy is handed over instead of text or bytes. */
  readonly inProcess: boolean
  /** What was confirmed survives kill -9 of every process of ours. */
  readonly durable: boolean
  /** Several processes can share it. */
  readonly multiProcess: boolean
  /** Members of a group compete; a group that is away misses nothing (where `durable`). */
  readonly groups: boolean
  /** A subscription can have its own copy of everything. */
  readonly broadcast: boolean
  /** Whether order by key holds within a group, across its processes and a rebalance. */
  readonly order: 'key' | 'none'
  /** `at-least-once`: unsettled messages come again. `at-most-once`: what nobody listened to is gone. */
  readonly delivery: 'at-least-once' | 'at-most-once'
  /** `redeliver` verdicts are kept and come again after their delay. */
  readonly redelivery: boolean
  /** Runs that died with their process are counted, so that a message that kills processes ends. */
  readonly countsCrashes: boolean
  /** Publishing with `deliverAt`. */
  readonly delay: boolean
  /** `window`: among the deliveries in memory (up to prefetch). `native`: in the broker, over the whole backlog. */
  readonly priority: 'native' | 'window'
  /** A new group can begin at the earliest message still kept. */
  readonly replay: boolean
  /** Later messages of a failed key can be parked behind it. */
  readonly park: boolean
  /** Failed messages are kept with their failure and can be redriven. */
  readonly deadLetters: boolean
  /** Publishing inside a transaction of the user's own (`Broker.publishIn`). */
  readonly transactions: boolean
  /** Largest encoded body in bytes that it takes; a larger one is refused before sending. */
  readonly maxMessageBytes: number
}
