import type { Append, EventStorage, StorageCapabilities } from '../../store/index.ts'
import type { Transaction } from '../../transaction/index.ts'
import type { EndFault, SuiteModule, TargetOf, TargetOptions } from '../suite/target.ts'

/** An event storage to be checked. */
export type EventStoreTarget = TargetOf<StorageCapabilities>

/** What the module of a target exports. */
export interface StorageTargetModule extends SuiteModule {
  /**
   * Makes a storage that has not been started. Storages made with the same namespace, in any process, share their events where the
   * storage can (`capabilities.multiProcess`); those of different namespaces never see each other's.
   */
  createStorage(options: TargetOptions): EventStorage | Promise<EventStorage>
  /** A user's own database beside the events. Required where `capabilities.transactions`. */
  readonly userDatabase?: UserDatabase
  readonly faults?: StorageFaults
}

/** What a program has that appends inside its own transactions. */
export interface UserDatabase {
  /** Makes a table with one column of text, `value`, where it is not there yet. Resolves to its name as SQL writes it. */
  table(options: TargetOptions): Promise<string>
  /** Begins a transaction on a connection of the program's own. */
  begin(options: TargetOptions): Promise<OwnTransaction>
}

export interface OwnTransaction {
  readonly tx: Transaction
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** Each causes a fault and resolves to what ends it. */
export interface StorageFaults {
  /** The storage cannot be reached or written to for a while: connections cut, server stopped, file locked. */
  interrupt?(options: TargetOptions): Promise<EndFault>
  /**
   * Begins to append and has its place in the order, but is not committed yet. Only where others can append meanwhile; where
   * one writer holds all others up there is nothing to be seen.
   */
  holdAppend?(options: TargetOptions, appends: readonly Append[]): Promise<HeldAppend>
}

export interface HeldAppend {
  commit(): Promise<void>
  rollback(): Promise<void>
}
