import type { Verdict } from '../broker/index.ts'
import type { Aside, AsidePlace } from './asides.ts'
import type { KafkaContext } from './context.ts'
import type { HandedOut } from './delivery.ts'

/**
 * Stores one verdict: first where the message goes, then that it is gone from where it was, so that it is never in
 * neither. Resolves to what is set aside now, if anything is.
 */
export async function storeVerdict(
  { asides, deadLetters }: KafkaContext,
  group: string,
  at: AsidePlace,
  delivery: HandedOut,
  verdict: Verdict,
): Promise<Aside | undefined> {
  const { aside, message, begun } = delivery
  if ('redeliver' in verdict) {
    const { after, attempts, firstFailedAt } = verdict.redeliver
    return asides.store(at, message, {
      entry: aside?.entry ?? `l${delivery.offset}`,
      due: Math.ceil(Date.now() + Math.max(0, after)),
      attempts: Math.max(begun, attempts),
      redeliveries: delivery.redeliveries + 1,
      crashes: delivery.crashes,
      firstFailedAt: delivery.firstFailedAt ?? firstFailedAt,
      place: delivery.position,
    })
  }
  if ('deadLetter' in verdict) {
    const { deadLetter: failure } = verdict
    await deadLetters.put({
      group,
      topic: delivery.topic,
      position: delivery.position,
      message,
      failure: { ...failure, attempts: Math.max(begun, failure.attempts) },
      redeliveries: delivery.redeliveries,
    })
  }
  if (aside !== undefined) await asides.remove(at, aside.entry)
  return undefined
}

/** What the broker says of bytes that are no event. */
export function undecodable(handler: string, { name, message }: Error): Verdict {
  const now = Date.now()
  const error = { name, message }
  return {
    deadLetter: { reason: 'undecodable', error, handler, attempts: 0, firstFailedAt: now, lastFailedAt: now },
  }
}
