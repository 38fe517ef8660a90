/** Projections: read models made of events, each event exactly once. */
export * from './errors.ts'
export { InlineProjections } from './inline.ts'
export { MemoryReadModel, type MemoryCollection, type MemoryModel } from './memory-read-model.ts'
export type { ProjectionsOptions } from './options.ts'
export {
  type Apply,
  type ApplyMany,
  projection,
  type Projection,
  type ProjectionOptions,
  type When,
  when,
  whenMany,
} from './projection.ts'
export { Projections } from './projections.ts'
export type { Build } from './build.ts'
export type { Builds, PartitionClaim, PartitionProgress, Poison, ReadModel, Step } from './read-model.ts'
export type { SqlModel } from './sql-model.ts'
export { SqlReadModel } from './sql-read-model.ts'
export type { BuildStatus, ProjectionStatus } from './status.ts'
