import { type BrokerLogger, standardErrorLogger } from '../broker/logger.ts'
import { ConfigurationError } from '../message/errors.ts'

export interface ProjectionsOptions {
  /** Most events of one transaction. Default 500. */
  readonly batch?: number
  /** Milliseconds after which the partitions of a process that gave no sign of life go to others. Default 10 000. */
  readonly lease?: number
  /** Milliseconds between two looks where nothing says that something came. Default 500. */
  readonly pollInterval?: number
  /** How often an event that fails is tried again, with a growing pause, before `onPoison`. Default 5. */
  readonly retries?: number
  /**
   * What becomes of an event that cannot be applied: `stop` (default) stops its partition before it, until `resume`; `skip` passes over it
   * and keeps it in `skipped(name)`.
   */
  readonly onPoison?: 'stop' | 'skip'
  /** Default: JSON lines on standard error. */
  readonly logger?: BrokerLogger
}

/** With defaults, checked. */
export function complete(options: ProjectionsOptions): Required<ProjectionsOptions> {
  const { batch = 500, lease = 10_000, pollInterval = 500, retries = 5, onPoison = 'stop' } = options
  const least = { batch: 1, lease: 50, pollInterval: 1, retries: 0 }
  for (const [name, value] of Object.entries({ batch, lease, pollInterval, retries })) {
    const from = least[name as keyof typeof least]
    if (Number.isSafeInteger(value) && value >= from) continue
    throw new ConfigurationError(`option '${name}' of projections is a whole number from ${from}, not ${value}`)
  }
  if (onPoison !== 'stop' && onPoison !== 'skip') {
    throw new ConfigurationError(`option 'onPoison' of projections is 'stop' or 'skip', not '${String(onPoison)}'`)
  }
  return { batch, lease, pollInterval, retries, onPoison, logger: options.logger ?? standardErrorLogger }
}
