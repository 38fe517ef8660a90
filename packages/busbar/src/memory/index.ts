export { MemoryBroker, type MemoryBrokerOptions } from './broker.ts'
export { MemoryEventStorage, type MemoryEventStorageOptions } from './event-storage.ts'
