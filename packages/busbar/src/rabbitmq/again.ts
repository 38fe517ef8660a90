import type { Message } from 'amqplib'

/** What a message that a group gets again carries with it, in one header. */
export interface Again {
  /** Names this redelivery or redrive among others of the same message. */
  readonly entry: string
  /** Unix milliseconds before which it is not handed out. */
  readonly due: number
  readonly attempts: number
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt?: number
  /** Position of the first delivery. */
  readonly place?: string
}

const AGAIN = 'busbar-again'
const DUE = 'busbar-due'

export function againHeaders(again: Again): Record<string, string> {
  return { [AGAIN]: JSON.stringify(again) }
}

/** For messages that every group gets later. */
export function dueHeaders(due: number): Record<string, string> {
  return { [DUE]: String(due) }
}

export function againOf({ properties }: Message): Again | undefined {
  const text: unknown = properties.headers?.[AGAIN]
  if (typeof text !== 'string') return undefined
  try {
    return JSON.parse(text) as Again
  } catch {
    // Somebody else's header of the same name.
    return undefined
  }
}

/** Unix milliseconds at which it is due; 0: at once. */
export function dueOf(received: Message): number {
  const due = againOf(received)?.due ?? Number(received.properties.headers?.[DUE])
  return Number.isFinite(due) ? due : 0
}
