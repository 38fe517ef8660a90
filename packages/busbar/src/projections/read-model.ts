import type { Position } from '../store/index.ts'
import type { Build } from './build.ts'
import type { Projection } from './projection.ts'

/** What there is of a projection. */
export interface Builds {
  /** What readers see. */
  readonly live: Build | undefined
  /** Being built beside it. */
  readonly next: Build | undefined
  readonly paused: boolean
}

/** The right of one process to one partition of a build. */
export interface PartitionClaim {
  readonly build: Build
  readonly partition: number
  readonly owner: string
  readonly token: number
  /** Applied up to here. */
  readonly position: Position
}

/** An event that could not be applied. */
export interface Poison {
  readonly position: Position
  readonly stream: string
  readonly revision: number
  readonly type: string
  /** Name and text of the error. */
  readonly error: string
  /** Unix milliseconds. */
  readonly at: number
}

/** One partition of a build, as it is now. */
export interface PartitionProgress {
  readonly build: number
  readonly partition: number
  readonly position: Position
  /** Events applied since the build began. */
  readonly applied: number
  /** It has met the end of the store. */
  readonly caughtUp: boolean
  /** Unix milliseconds. */
  readonly updatedAt: number
  /** Undefined where nobody has it. */
  readonly owner: string | undefined
  /** It has stopped at this event. */
  readonly poison: Poison | undefined
}

/** What a step of a partition has come to. */
export interface Step {
  /** Everything up to here has been applied or passed over. */
  readonly position: Position
  /** Events that were applied. */
  readonly applied: number
  readonly caughtUp: boolean
  /** Passed over because it could not be applied. */
  readonly skipped?: Poison
}

/**
 * The port of read models: where projections keep what they make, with their checkpoints beside it. `Model` is what `when` handlers are
 * given.
 *
 * The promise that everything rests on: the checkpoint is in the transaction of the model's change, and only whoever has the claim can
 * move it. So each event changes a model exactly once, whoever is killed.
 */
export interface ReadModel<Model> {
  /** Short name for people: `sqlite`, `memory` … */
  readonly name: string
  /** Creates what it needs. Safe to call twice. */
  start(): Promise<void>
  builds(name: string): Promise<Builds>
  /**
   * Begins a build, empty and shown to nobody. Of several processes at once one makes it, and all get it. A build that is under way with
   * the same version and fingerprint is gone on with; another one that is under way is dropped.
   *
   * @param anew Also where the live one has this version.
   */
  begin(projection: Projection<Model>, anew: boolean): Promise<Build>
  /** Shows a build to readers, in place of the live one where there is one, which is dropped, in one step. False: it is not the next one any more. */
  switch(build: Build): Promise<boolean>
  /** Claims a partition for so many milliseconds, or renews the own claim. Undefined: another has it, or the build is gone. */
  claim(build: Build, partition: number, owner: string, milliseconds: number): Promise<PartitionClaim | undefined>
  /**
   * Runs `work` and moves the checkpoint to where it says, both or neither; nobody else can take the claim meanwhile. Undefined: the claim
   * was lost, the build is gone or the projection is paused, and nothing of it has happened. Rejects as `work` does.
   */
  step(claim: PartitionClaim, work: (model: Model) => Promise<Step>): Promise<PartitionClaim | undefined>
  /** Stops the partition at an event, until `resume`. */
  stopAt(claim: PartitionClaim, poison: Poison): Promise<void>
  release(claim: PartitionClaim): Promise<void>
  /** Says that this owner works on a projection for so many milliseconds; resolves to how many do, with it. */
  join(name: string, owner: string, milliseconds: number): Promise<number>
  leave(name: string, owner: string): Promise<void>
  /** Of the live build and of the next one. */
  progress(name: string): Promise<readonly PartitionProgress[]>
  /** Holds up all processes between two steps, or lets them go on; going on also forgets where partitions have stopped. */
  setPaused(name: string, paused: boolean): Promise<void>
  /** Events of the live build that were passed over, oldest first. */
  skipped(name: string): Promise<readonly Poison[]>
  /** Releases what it holds. */
  stop(): Promise<void>
}
