import type { Middleware } from '../middleware.ts'
import { enrichment } from './enrichment.ts'
import { filtering, type FilteringOptions } from './filtering.ts'
import { logging, type LoggingOptions } from './logging.ts'
import { validation, type ValidationOptions } from './validation.ts'

export interface StandardOptions {
  readonly logging?: LoggingOptions | false
  readonly validation?: ValidationOptions | false
  /** Default: none. */
  readonly enrichment?: Parameters<typeof enrichment>[0]
  /** Default: none. */
  readonly filtering?: FilteringOptions
}

/**
 * The usual pipeline, outermost first: logging (sees everything, also what the rest refuses), validation (before
 * anything is spent on a bad message), enrichment, filtering (by what enrichment added). What enrichment changed is
 * validated by the engine after the last middleware.
 *
 * @example bus.use(...standard({ enrichment: () => ({ metadata: { tenantId: currentTenant() } }) }))
 */
export function standard(options: StandardOptions = {}): readonly Middleware[] {
  return [
    ...(options.logging === false ? [] : [logging(options.logging)]),
    ...(options.validation === false ? [] : [validation(options.validation)]),
    ...(options.enrichment === undefined ? [] : [enrichment(options.enrichment)]),
    ...(options.filtering === undefined ? [] : [filtering(options.filtering)]),
  ]
}
