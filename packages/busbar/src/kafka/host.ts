import type { KafkaContext } from './context.ts'
import type { Fetcher } from './fetcher.ts'
import type { Topic } from './topology.ts'
import type { Wanting, Window } from './window.ts'

/** A partition as its parts see it. */
export interface PartitionView extends Wanting {
  readonly topic: Topic
  readonly partition: number
}

/** What a partition needs of the member that owns it. */
export interface PartitionHost {
  readonly context: KafkaContext
  readonly group: string
  readonly window: Window
  readonly fetcher: Fetcher
  /** The member is sure of its partitions. */
  readonly alive: boolean
  /** Something is to be committed: now, or with what else comes soon. */
  dirty(partition: PartitionView, now: boolean): void
  /** Something settled. */
  settled(partition: PartitionView): void
  /** The member has found out that it is not sure of anything any more. */
  lapsed(): void
}
