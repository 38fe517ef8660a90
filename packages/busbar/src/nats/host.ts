import type { Asides } from './asides.ts'
import type { NatsContext } from './context.ts'
import type { NatsDeadLetters } from './dead-letters.ts'
import type { Began, HandedOut } from './delivery.ts'
import type { Topic } from './topology.ts'
import type { Wanting, Window } from './window.ts'

/** A partition as its parts and its member see it. */
export interface PartitionView extends Wanting {
  readonly topic: Topic
  readonly partition: number
  /** In memory and not settled. */
  readonly open: ReadonlySet<HandedOut>
  readonly began: Began
}

/** What a partition needs of the member that owns it. */
export interface PartitionHost {
  readonly context: NatsContext
  readonly group: string
  readonly id: string
  readonly prefetch: number
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
