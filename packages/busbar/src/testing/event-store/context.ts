import type { Append, EventStorage, StorageCapabilities } from '../../store/index.ts'
import type { ProcessOptions } from '../suite/process.ts'
import { Scope } from '../suite/scope.ts'
import { StorageProcess } from './child-process.ts'
import type { EventStoreOptions } from './options.ts'
import type { EventStoreTarget, HeldAppend, OwnTransaction, StorageFaults, StorageTargetModule } from './target.ts'

/** The world of one check: an empty store of its own, storages and child processes over it, all ended when the check is over. */
export class StorageContext extends Scope<Required<EventStoreOptions>, StorageFaults, StorageTargetModule> {
  readonly capabilities: StorageCapabilities

  constructor(
    target: EventStoreTarget,
    module: StorageTargetModule,
    capabilities: StorageCapabilities,
    options: Required<EventStoreOptions>,
    namespace: string,
  ) {
    super(target, module, options, namespace)
    this.capabilities = capabilities
  }

  /** A started storage. Those of one check share their events where the storage can. */
  async storage(): Promise<EventStorage> {
    const storage = await this.made()
    await storage.start()
    return storage
  }

  /** A storage that has not been started. */
  async made(): Promise<EventStorage> {
    const storage = await this.module.createStorage(this.targetOptions())
    this.onEnd(() => storage.stop())
    return storage
  }

  /** Another process with a started storage. */
  async child(options: Omit<ProcessOptions, 'patience'> = {}): Promise<StorageProcess> {
    // How long a process takes to start says nothing about the storage: an impatient run waits for it as long as any.
    const child = new StorageProcess({ ...options, patience: Math.max(this.options.patience, 30_000) })
    this.onEnd(() => child.kill())
    await child.start(this.target.module, this.targetOptions())
    return child
  }

  /** An append that has its place and is not committed; rolled back with the check at the latest. */
  async hold(appends: readonly Append[]): Promise<HeldAppend> {
    const held = await this.module.faults?.holdAppend?.(this.targetOptions(), appends)
    if (held === undefined) throw new Error(`the target ${this.target.name} cannot hold an append`)
    return this.#once(held)
  }

  /** The name of a table of the user's. */
  table(): Promise<string> {
    return this.#database().table(this.targetOptions())
  }

  /** A transaction of the user's; rolled back with the check at the latest. */
  async begin(): Promise<OwnTransaction> {
    const own = await this.#database().begin(this.targetOptions())
    return { ...this.#once(own), tx: own.tx }
  }

  #database(): NonNullable<StorageTargetModule['userDatabase']> {
    const { userDatabase } = this.module
    if (userDatabase !== undefined) return userDatabase
    throw new Error(`the storage has transactions, and the target ${this.target.name} exports no userDatabase`)
  }

  #once(held: HeldAppend): HeldAppend {
    let over = false
    const once = (end: () => Promise<void>) => async (): Promise<void> => {
      if (over) return
      over = true
      await end()
    }
    const rollback = once(() => held.rollback())
    this.onEnd(rollback)
    return { commit: once(() => held.commit()), rollback }
  }
}
