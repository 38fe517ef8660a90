import type { RecordedEvent } from '../eventstore/index.ts'
import type { ContractLike, Message } from '../message/index.ts'

/** An aggregate as loading sees it, whatever its style. */
export interface Model<State> {
  /** Contracts of its events; undefined: those that the store knows. */
  readonly contracts: readonly ContractLike[] | undefined
  initial(id: string): State
  /** Whether it says what this event changes. */
  knows(recorded: RecordedEvent, state: State): boolean
  evolve(state: State, event: Message): State
  /** What a snapshot keeps of a state. */
  freeze(state: State): unknown
  /** The state of what a snapshot kept. */
  thaw(id: string, data: unknown): State
  /** Tells a loaded state its revision, where it wants to know. */
  stand?(state: State, revision: number): void
}
