import { type Delivery, type Outgoing, UnsupportedError, type Verdict } from '../broker/index.ts'
import { MessageTooLargeError } from '../message/errors.ts'

/** A message on its way. */
export interface Item {
  readonly delivery: Delivery
  readonly outgoing: Outgoing
  readonly settle: (verdict: Verdict) => void
}

export const RELEASE: Verdict = { release: true }

/** What may have gone to another bridge meanwhile is not sent: it would come after what that one sends. */
export function isOurs({ delivery, settle }: Item): boolean {
  if (!delivery.lapsed) return true
  settle(RELEASE)
  return false
}

/** What order is kept by; a message without a key is in no order with any other. */
export function lineOf(item: Item): unknown {
  return item.outgoing.message.key ?? item
}

/** The items of each key, in order. */
export function byLine(items: readonly Item[]): readonly (readonly Item[])[] {
  const lines = new Map<unknown, Item[]>()
  for (const item of items) {
    const line = lines.get(lineOf(item))
    if (line === undefined) lines.set(lineOf(item), [item])
    else line.push(item)
  }
  return [...lines.values()]
}

/** The other side can never take it. */
export function isForGood(error: Error): boolean {
  return error instanceof MessageTooLargeError || error instanceof UnsupportedError
}

export function settleAll(items: readonly Item[], verdict: Verdict): void {
  for (const { settle } of items) settle(verdict)
}
