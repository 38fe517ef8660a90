/**
 * A message that goes both ways is there twice. Whoever reads through a hybrid gets it once, from the remote broker:
 * that copy is the one that other processes of the group share, and that survives where the remote broker is durable. The
 * local copy is for those who read the local broker by itself; a hybrid passes over it, known by this header.
 */
import type { Delivery, Outgoing } from '../broker/index.ts'

const HEADER = 'localcopy'

/** What the local broker is given of a message that goes both ways. */
export function localCopy(outgoing: Outgoing): Outgoing {
  const { message } = outgoing
  return { ...outgoing, message: { ...message, metadata: { ...message.metadata, [HEADER]: 'true' } } }
}

export function isLocalCopy({ message }: Delivery): boolean {
  return message.metadata[HEADER] === 'true'
}
