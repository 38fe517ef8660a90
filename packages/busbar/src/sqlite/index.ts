export { SqliteBroker, type SqliteBrokerOptions } from './broker.ts'
export { SqliteError } from './errors.ts'
