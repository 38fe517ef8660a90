import type { Failure, Verdict } from '../broker/index.ts'
import type { Aside, AsidePlace, Asides, KnownAside } from './asides.ts'
import type { NatsDeadLetters } from './dead-letters.ts'
import type { HandedOut } from './delivery.ts'

/** A verdict that has to be stored before it counts. `park`: it waits behind an earlier one of its key. */
export interface ToStore {
  readonly delivery: HandedOut
  readonly verdict: Verdict | { readonly park: true }
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
  stores: Stores,
  at: AsidePlace,
  { delivery, verdict }: ToStore,
): Promise<KnownAside | undefined> {
  const { aside } = delivery
  const now = await place(stores, at, delivery, verdict)
  if (now === undefined && aside !== undefined) await stores.asides.remove(aside.seq)
  // Last, so that a message that was parked is in the letters or set aside, whatever happens between.
  if (aside?.letter === true) await stores.deadLetters.removeParked(at, aside.entry)
  return now
}

async function place(
  { asides, deadLetters }: Stores,
  at: AsidePlace,
  delivery: HandedOut,
  verdict: ToStore['verdict'],
): Promise<KnownAside | undefined> {
  const { aside, lane, message } = delivery
  const before = aside?.seq ?? 0
  if ('redeliver' in verdict) {
    const next = { ...again(delivery, verdict.redeliver.attempts), due: dueAfter(verdict.redeliver.after) }
    const { firstFailedAt = verdict.redeliver.firstFailedAt } = delivery
    const kept = { ...next, redeliveries: delivery.redeliveries + 1, firstFailedAt }
    return asides.replace(at, message, kept, lane === undefined ? undefined : before)
  }
  if ('park' in verdict) {
    const note = { ...again(delivery, 0), state: 'parked', due: 0, letter: true } as const
    const letter = letterOf(at, delivery, behind(at.group, delivery))
    await deadLetters.store(letter, { held: { partition: at.partition, note }, source: note.source })
    return asides.replace(at, undefined, note, before)
  }
  if ('deadLetter' in verdict) {
    const { deadLetter: failure } = verdict
    const letter = letterOf(at, delivery, { ...failure, attempts: Math.max(delivery.begun, failure.attempts) })
    if (lane === undefined) {
      await deadLetters.store(letter, { source: again(delivery, 0).source })
      return undefined
    }
    const note = { ...again(delivery, 0), state: 'dead', due: 0 } as const
    await deadLetters.store(letter, { held: { partition: at.partition, note }, source: note.source })
    return asides.replace(at, undefined, note, before)
  }
  return undefined
}

/** What is kept with a message that is set aside, before it is said when it comes again. */
function again(delivery: HandedOut, attempts: number): Omit<Aside, 'due'> {
  const { aside, lane, seq, begun, redeliveries, crashes, position, firstFailedAt } = delivery
  const origin = aside?.origin ?? seq
  return {
    entry: aside?.entry ?? `l${seq}`,
    attempts: Math.max(begun, attempts),
    redeliveries,
    crashes,
    place: position,
    ...sourceOf(delivery),
    ...(firstFailedAt === undefined ? {} : { firstFailedAt }),
    ...(lane === undefined || origin === undefined ? {} : { lane, origin }),
    ...(aside?.letter === true ? { letter: true } : {}),
  }
}

/** Where its body can be read again, as long as the topic keeps it. */
function sourceOf({ aside, seq, stream }: HandedOut): Pick<Aside, 'source'> {
  if (aside?.source !== undefined) return { source: aside.source }
  return seq === undefined || stream === undefined ? {} : { source: { stream, seq } }
}

function dueAfter(milliseconds: number): number {
  return Math.ceil(Date.now() + Math.max(0, milliseconds))
}

function letterOf(at: AsidePlace, { position, message, redeliveries }: HandedOut, failure: Failure) {
  return { group: at.group, topic: at.topic, position, message, failure, redeliveries }
}

function behind(group: string, { begun: attempts }: HandedOut): Failure {
  const now = Date.now()
  const error = { name: 'Parked', message: 'waits behind an earlier message of the same key' }
  return { reason: 'parked', error, handler: group, attempts, firstFailedAt: now, lastFailedAt: now }
}
