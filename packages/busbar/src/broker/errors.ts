import { BusbarError } from '../message/errors.ts'

/** Some or all messages of a publish were not confirmed. */
export class PublishError extends BusbarError {
  override readonly name: string = 'PublishError'
  /** The messages that were not confirmed, with the reason of each, by their index in the call. */
  readonly failed: readonly { readonly index: number; readonly id: string; readonly error: Error }[]

  constructor(failed: PublishError['failed'], total: number) {
    const first = failed[0]
    super(
      `${failed.length} of ${total} messages were not published` +
        (first === undefined ? '' : `; the first (${first.id}): ${first.error.message}`),
      first === undefined ? {} : { cause: first.error },
    )
    this.failed = failed
  }
}

/** The broker cannot do what was asked (see its capabilities). */
export class UnsupportedError extends BusbarError {
  override readonly name: string = 'UnsupportedError'
}

/** The broker was stopped, or could not be started or reached. */
export class BrokerError extends BusbarError {
  override readonly name: string = 'BrokerError'
}
