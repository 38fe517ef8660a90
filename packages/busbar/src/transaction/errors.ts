import { BusbarError } from '../message/errors.ts'

/** A transaction cannot be used here. The text says why and what to give instead. Nothing was written. */
export class TransactionError extends BusbarError {
  override readonly name: string = 'TransactionError'
}

/**
 * The transaction was committed or rolled back before, was never begun, or has failed and can only be rolled back. Nothing was
 * written.
 */
export class TransactionClosedError extends TransactionError {
  override readonly name: string = 'TransactionClosedError'
}

/** Codes and texts of an error and of what it wraps: libraries put the database's error inside of their own. */
export function saidBy(error: unknown): string {
  const said: string[] = []
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { code = '', meta } = at as { readonly code?: string; readonly meta?: { readonly code?: string } }
    said.push(code, meta?.code ?? '', at.message)
  }
  return said.join(' ')
}

export function unknownDialect(call: string, found: string): TransactionError {
  return new TransactionError(
    `${call} cannot tell whose SQL the transaction speaks (found '${found}'): name it, ${call}(trx, 'postgres') or ${call}(trx, 'sqlite')`,
  )
}
