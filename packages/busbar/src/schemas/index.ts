/** Where schemas of contracts are registered, beyond one process. */
export { SqlSchemaRegistry } from './sql-registry.ts'
