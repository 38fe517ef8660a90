export { MemoryBroker, type MemoryBrokerOptions } from './broker.ts'
