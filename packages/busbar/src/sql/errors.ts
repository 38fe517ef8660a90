import { BrokerError } from '../broker/index.ts'

/**
 * The tables of a database are none that this Busbar can work with: a newer Busbar's, another program's, or no longer whole. Nothing
 * was changed. The text says which, and what to do.
 */
export class TablesError extends BrokerError {
  override readonly name: string = 'TablesError'
}
