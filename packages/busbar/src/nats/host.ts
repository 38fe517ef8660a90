import type { Asides } from './asides.ts'
import type { NatsContext } from './context.ts'
import type { NatsDeadLetters } from './dead-letters.ts'
import type { DeliveryOwner, HandedOut } from './delivery.ts'
import type { Topic } from './topology.ts'
import type { Wanting, Window } from './window.ts'

/** A partition as its parts and its member see it. */
export interface PartitionView extends Wanting, DeliveryOwner {
  readonly topic: Topic
  readonly partition: number
  /** In memory and not settled. */
  readonly open: ReadonlySet<HandedOut>
  /** Some of this key are with the handler, or have a verdict that is not stored yet. */
  isBusy(lane: string): boolean
}

/** What a partition needs of the member that owns it. */
export interface PartitionHost {
  readonly context: NatsContext
  readonly group: string
  readonly id: string
  readonly prefetch: number
  /** Failed keys hold up what comes after them. */
  readonly parks: boolean
  readonly window: Window
  readonly asides: Asides
  readonly deadLetters: NatsDeadLetters
  /** The member is sure of its leases. */
  readonly alive: boolean
  /** Something settled. */
  settled(partition: PartitionView): void
  /** The partition is not ours any more. */
  lost(partition: PartitionView): void
}
