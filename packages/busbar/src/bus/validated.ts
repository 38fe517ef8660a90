import type { Definition } from '../message/contract.ts'
import { ValidationError } from '../message/errors.ts'
import type { Message } from '../message/message.ts'
import { withoutPersonal } from '../message/personal.ts'

/**
 * What a handler gets of a message that went through middleware: validated anew if its data or type was changed, and an
 * instance again where the contract is a class (middleware makes plain copies).
 *
 * @throws ValidationError
 */
export async function validated(
  message: Message,
  original: Message,
  definition: Definition | undefined,
): Promise<Message> {
  if (message === original || definition === undefined) return message
  const { validate, hydrate } = definition
  const same = message.data === original.data && message.type === original.type
  if (same || validate === undefined) return hydrate?.(message) ?? message
  const outcome = await validate(message.data)
  if ('issues' in outcome) {
    throw new ValidationError(message.type, message.version, withoutPersonal(outcome.issues, definition.personal))
  }
  const changed = { ...message, data: outcome.data }
  return hydrate?.(changed) ?? changed
}
