export type { StorageCheck } from './check.ts'
export { eventStoreChecks } from './checks/index.ts'
export { StorageContext } from './context.ts'
export { describeEventStore } from './describe.ts'
export type { EventStoreOptions } from './options.ts'
export { type EventStoreConformance, eventStoreConformance, runEventStoreConformance } from './runner.ts'
export type {
  EventStoreTarget,
  HeldAppend,
  OwnTransaction,
  StorageFaults,
  StorageTargetModule,
  UserDatabase,
} from './target.ts'
export { builtInStorages, storageOf } from './targets/index.ts'
