import type { EventStore } from '../eventstore/index.ts'
import type { Position } from '../store/index.ts'
import { leastOf } from './batch.ts'
import type { Projection } from './projection.ts'
import type { Build } from './build.ts'
import type { PartitionProgress, Poison, ReadModel } from './read-model.ts'

/** Counting what waits ends here. */
const MOST_COUNTED = 1_000

export interface BuildStatus {
  readonly build: number
  readonly version: number
  /** Everything up to here is in the model. */
  readonly position: Position
  /** Events applied since the build began. */
  readonly applied: number
  /** Events that wait; at most 1 000 are counted. */
  readonly lag: number
  /** When the oldest of them was stored. */
  readonly behindSince: Date | undefined
  /** It has met the end of the store. */
  readonly caughtUp: boolean
  /** Where it has stopped, and why. */
  readonly poison: Poison | undefined
  readonly partitions: readonly PartitionProgress[]
}

export interface ProjectionStatus {
  readonly name: string
  /** `failed`: a partition has stopped at an event. */
  readonly state: 'paused' | 'failed' | 'catching up' | 'live'
  /** Of the store. */
  readonly head: Position
  /** What readers see. */
  readonly live: BuildStatus | undefined
  /** What is being built beside it. */
  readonly next: BuildStatus | undefined
}

export async function statusOf<Model>(
  store: EventStore,
  model: ReadModel<Model>,
  projection: Projection<Model>,
): Promise<ProjectionStatus> {
  const { name } = projection
  const [{ live, next, paused }, progress, { position: head }] = await Promise.all([
    model.builds(name),
    model.progress(name),
    store.head(),
  ])
  const status = async (build: Build | undefined): Promise<BuildStatus | undefined> =>
    build === undefined ? undefined : buildStatus(store, projection, build, progress)
  const shown = { live: await status(live), next: await status(next) }
  const failed = shown.live?.poison !== undefined || shown.next?.poison !== undefined
  const state = paused ? 'paused' : failed ? 'failed' : shown.live?.lag === 0 ? 'live' : 'catching up'
  return { name, state, head, ...shown }
}

async function buildStatus<Model>(
  store: EventStore,
  projection: Projection<Model>,
  { number, version }: Build,
  progress: readonly PartitionProgress[],
): Promise<BuildStatus> {
  const partitions = progress.filter(({ build }) => build === number)
  const position = leastOf(partitions)
  let lag = 0
  let behindSince: Date | undefined
  for await (const { storedAt } of store.storage.readAll({
    after: position,
    types: [...projection.events.keys()],
    ...(projection.categories === undefined ? {} : { categories: projection.categories }),
    limit: MOST_COUNTED,
  })) {
    behindSince ??= new Date(storedAt)
    lag++
  }
  return {
    build: number,
    version,
    position,
    applied: partitions.reduce((sum, one) => sum + one.applied, 0),
    lag,
    behindSince,
    caughtUp: partitions.every((one) => one.caughtUp),
    poison: partitions.find((one) => one.poison !== undefined)?.poison,
    partitions,
  }
}
