import type { Outgoing } from '../broker/index.ts'
import type { EncodedMessage } from '../message/message.ts'

/** Where a message is to go once it has left the outbox, whose messages share one topic so that one relay moves them all. */
const TOPIC = 'outboxtopic'

export function addressed(outbox: string, { topic, message, ...rest }: Outgoing): Outgoing {
  return { ...rest, topic: outbox, message: { ...message, metadata: { ...message.metadata, [TOPIC]: topic } } }
}

/** As it was published; undefined for what did not come through `addressed`. */
export function unaddressed(message: EncodedMessage): Outgoing | undefined {
  const { [TOPIC]: topic, ...rest } = message.metadata
  if (topic === undefined) return undefined
  return { topic, message: { ...message, metadata: { ...rest, correlationId: message.metadata.correlationId } } }
}
