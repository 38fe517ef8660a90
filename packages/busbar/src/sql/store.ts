import type { Failure } from '../broker/index.ts'
import { parked } from './step.ts'
import type { SqlContext } from './context.ts'
import type { HandedOut } from './delivery.ts'
import type { Statements } from './executor.ts'
import { holds, storeCursor } from './leases.ts'
import type { OwnedPartition, ToStore } from './partition.ts'
import { advanceLane, giveBack, postpone, putDead, remove, type SetAside, setAside, takeBack } from './set-aside.ts'

/** What storing a batch of verdicts has changed, to be taken over in memory once it is committed. */
export interface Stored {
  readonly lost: boolean
  /** Keys of which something is set aside now. */
  readonly blocked: readonly string[]
  /** Keys of which nothing is set aside any more. */
  readonly unblocked: readonly string[]
  readonly waiters: readonly (() => void)[]
  /** Unix milliseconds at which something of it is to be handed out again, at the earliest; Infinity: nothing. */
  readonly nextDue: number
}

/**
 * Stores verdicts that have to be on disk before they count, inside a transaction: the message leaves the open list and
 * is set aside in the same commit, so it is never in neither.
 */
export async function store(
  sql: Statements,
  context: SqlContext,
  partition: OwnedPartition,
  batch: readonly ToStore[],
  expires: number,
): Promise<Stored> {
  const nothing = { blocked: [], unblocked: [], waiters: [], nextDue: Infinity }
  if (!(await holds(sql, partition, expires))) return { lost: true, ...nothing }
  const now = context.now()
  const blocked = new Set<string>()
  const unblocked = new Set<string>()
  let nextDue = Infinity
  for (const one of batch) {
    const { delivery } = one
    await storeOne(sql, partition, one, now)
    nextDue = Math.min(nextDue, dueAgain(one, now))
    if (delivery.lane === undefined) continue
    if (one.settlement.what !== 'ack') {
      if (one.settlement.what !== 'release') blocked.add(delivery.lane)
      continue
    }
    const still = await advanceLane(sql, partition.group, partition.topic.id, delivery.lane, now)
    if (still) nextDue = 0
    else unblocked.add(delivery.lane)
  }
  for (const lane of blocked) unblocked.delete(lane)
  const waiters = [...partition.storedWaiters]
  partition.dirty = false
  const without = new Set(batch.map((one) => one.delivery))
  const open = partition.openList(context.dialect, { without })
  const kept = await storeCursor(sql, partition, { position: partition.position, open, expires })
  return { lost: !kept, blocked: [...blocked], unblocked: [...unblocked], waiters, nextDue }
}

/** When the message comes again, as far as that is known here. */
function dueAgain({ delivery, settlement }: ToStore, now: number): number {
  if (settlement.what === 'redeliver') return now + Math.max(0, settlement.redeliver.after)
  return settlement.what === 'release' && delivery.entry !== undefined ? 0 : Infinity
}

async function storeOne(sql: Statements, partition: OwnedPartition, one: ToStore, now: number): Promise<void> {
  const { delivery, settlement } = one
  const { entry } = delivery
  switch (settlement.what) {
    case 'ack':
      if (entry !== undefined) await remove(sql, entry)
      return
    case 'release':
      if (entry !== undefined) await giveBack(sql, entry, delivery.begun)
      return
    case 'park':
      return putAside(sql, parked(partition, delivery, now), partition)
    case 'redeliver': {
      const { after, firstFailedAt } = settlement.redeliver
      const attempts = Math.max(delivery.begun, settlement.redeliver.attempts)
      const dueAt = now + Math.max(0, after)
      if (entry !== undefined) return postpone(sql, entry, { dueAt, attempts, firstFailedAt })
      const redeliveries = delivery.redeliveries + 1
      const copy = { ...copyOf(partition, delivery), dueAt, attempts, redeliveries, firstFailedAt }
      return putAside(sql, { ...copy, state: 'due' }, partition)
    }
    case 'deadLetter':
      if (entry !== undefined) await remove(sql, entry)
      return putDead(sql, deadLetter(partition, delivery, settlement.failure))
  }
}

async function putAside(sql: Statements, one: SetAside, { storeFailures }: OwnedPartition): Promise<void> {
  if (storeFailures > 0) await takeBack(sql, one)
  await setAside(sql, one)
}

function copyOf(partition: OwnedPartition, delivery: HandedOut): SetAside {
  return {
    group: partition.group,
    topic: partition.topic.id,
    partition: partition.partition,
    state: 'dead',
    message: delivery.message,
    place: delivery.position,
    origin: delivery.origin,
    lane: delivery.lane,
    dueAt: null,
    attempts: delivery.begun,
    redeliveries: delivery.redeliveries,
    crashes: delivery.crashes,
    firstFailedAt: delivery.firstFailedAt,
    failure: undefined,
  }
}

function deadLetter(partition: OwnedPartition, delivery: HandedOut, failure: Failure): SetAside {
  return { ...copyOf(partition, delivery), attempts: Math.max(delivery.begun, failure.attempts), failure }
}
