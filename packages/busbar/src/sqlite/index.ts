export { SqliteBroker, type SqliteBrokerOptions } from './broker.ts'
export { SqliteError } from './errors.ts'
export { SqliteEventStorage, type SqliteEventStorageOptions } from './event-storage.ts'
export { TablesError } from '../sql/errors.ts'
