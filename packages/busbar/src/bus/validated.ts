import type { Definition } from '../message/contract.ts'
import { ValidationError } from '../message/errors.ts'
import type { Message } from '../message/message.ts'

/** The message with its data as the contract's schema gives it. Throws ValidationError. For what middleware changed. */
export async function validated(message: Message, definition: Definition | undefined): Promise<Message> {
  if (definition?.validate === undefined) return message
  const outcome = await definition.validate(message.data)
  if ('issues' in outcome) throw new ValidationError(message.type, message.version, outcome.issues)
  const changed = { ...message, data: outcome.data }
  return definition.hydrate?.(changed) ?? changed
}
