import { byteLength } from '../message/body.ts'
import { MessageTooLargeError } from '../message/errors.ts'
import type { Outgoing } from './broker.ts'

/** Refuses a batch of which one body is over the limit, before anything of it is sent. @throws MessageTooLargeError */
export function refuseTooLarge(batch: readonly Outgoing[], limit: number, broker: string): void {
  for (const { message } of batch) {
    const size = byteLength(message.body)
    if (size <= limit) continue
    throw new MessageTooLargeError(
      `message ${message.id} (${message.type}) has ${size} bytes and ${broker} takes ${limit}; nothing was sent. ` +
        'Send a reference to the data instead',
    )
  }
}
