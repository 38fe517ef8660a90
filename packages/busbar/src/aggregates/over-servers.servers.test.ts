/** The tests of aggregates, and those of the event store that are about storages, once more over Redis and Postgres. */
import { WHICH } from '../eventstore/fixtures/which.ts'

process.env[WHICH] = 'servers'
await import('../eventstore/over-storages.test.ts')
await import('./decider.test.ts')
await import('./aggregate-root.test.ts')
await import('./snapshots.test.ts')
