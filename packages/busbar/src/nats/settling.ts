import type { Verdict } from '../broker/index.ts'
import type { Asides, KnownAside } from './asides.ts'
import type { NatsDeadLetters } from './dead-letters.ts'
import type { HandedOut } from './delivery.ts'

/** A verdict that has to be stored before it counts. */
export interface ToStore {
  readonly delivery: HandedOut
  readonly verdict: Verdict
}

/** What verdicts are stored in. */
export interface Stores {
  readonly asides: Asides
  readonly deadLetters: NatsDeadLetters
}

/**
 * Stores one verdict: first where the message goes, then that it is gone from where it was, so that it is never in
 * neither. Resolves to what is set aside now, if anything is.
 */
export async function storeVerdict(
  { asides, deadLetters }: Stores,
  at: { readonly group: string; readonly topic: string; readonly partition: number },
  { delivery, verdict }: ToStore,
): Promise<KnownAside | undefined> {
  const { aside, message, begun } = delivery
  if ('redeliver' in verdict) {
    const { after, attempts, firstFailedAt } = verdict.redeliver
    const next = {
      entry: aside?.entry ?? `l${delivery.seq}`,
      due: Math.ceil(Date.now() + Math.max(0, after)),
      attempts: Math.max(begun, attempts),
      redeliveries: delivery.redeliveries + 1,
      crashes: delivery.crashes,
      firstFailedAt: delivery.firstFailedAt ?? firstFailedAt,
      place: delivery.position,
    }
    const seq = await asides.store(at, message, next)
    return seq === undefined ? undefined : { ...next, seq }
  }
  if ('deadLetter' in verdict) {
    const { deadLetter: failure } = verdict
    await deadLetters.put({
      group: at.group,
      topic: at.topic,
      position: delivery.position,
      message,
      failure: { ...failure, attempts: Math.max(begun, failure.attempts) },
      redeliveries: delivery.redeliveries,
    })
  }
  if (aside !== undefined) await asides.remove(aside.seq)
  return undefined
}
