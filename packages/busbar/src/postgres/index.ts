export { PostgresBroker } from './broker.ts'
export { ConnectionLostError, PostgresError } from './errors.ts'
export type { PostgresBrokerOptions } from './options.ts'
export type { Difference } from './topology.ts'
