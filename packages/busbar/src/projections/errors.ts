import { BusbarError } from '../message/errors.ts'
import type { Poison } from './read-model.ts'

/** A projection is not what the read model was built by. Nothing was changed. */
export class ProjectionChangedError extends BusbarError {
  override readonly name: string = 'ProjectionChangedError'
  readonly projection: string
  /** Of the model that is there. */
  readonly version: number

  constructor(projection: string, version: number, declared: number) {
    super(
      declared < version
        ? `projection '${projection}' is declared as version ${declared}, and the model that is there was built by version ${version}: ` +
            'this program is older than the one that built it; update it'
        : `projection '${projection}' has other events, tables or partitions than the model that was built by the same version ${version}: ` +
            `declare it as version ${version + 1}, and it is built anew beside the old one`,
    )
    this.projection = projection
    this.version = version
  }
}

/** A projection did not come as far as was asked in the time that it was given. It goes on. */
export class ProjectionBehindError extends BusbarError {
  override readonly name: string = 'ProjectionBehindError'
  readonly projection: string

  constructor(projection: string, timeout: number, why: string) {
    super(`projection '${projection}' has not caught up within ${timeout} ms${why}`)
    this.projection = projection
  }
}

/** A model cannot be built: one of the events cannot be applied. */
export class ProjectionPoisonedError extends BusbarError {
  override readonly name: string = 'ProjectionPoisonedError'
  readonly projection: string
  readonly poison: Poison

  constructor(projection: string, poison: Poison) {
    super(
      `projection '${projection}' cannot apply ${poison.type}, revision ${poison.revision} of '${poison.stream}': ${poison.error}. ` +
        'Mend its handler, or have it passed over with onPoison: skip',
    )
    this.projection = projection
    this.poison = poison
  }
}

/** No projection of this name is run here. */
export class UnknownProjectionError extends BusbarError {
  override readonly name: string = 'UnknownProjectionError'

  constructor(projection: string, known: readonly string[]) {
    super(`there is no projection '${projection}' here; there are: ${known.join(', ')}`)
  }
}
