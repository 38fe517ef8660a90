import type { SqlContext } from './context.ts'
import type { OwnedPartition } from './partition.ts'
import type { Window } from './window.ts'

/** What the pump needs of the member that it works for. */
export interface PumpHost {
  readonly context: SqlContext
  readonly group: string
  readonly window: Window
  /** Partitions that are owned now. */
  owned(): readonly OwnedPartition[]
  /** The lease was lost. */
  lost(partition: OwnedPartition): void
  /** All that has settled until now is being stored. */
  storing(): void
  /** Asks for another turn after `pause` milliseconds. */
  again(pause: number): void
}
