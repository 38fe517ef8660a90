import { list, run, text } from './connection.ts'
import type { RedisContext } from './context.ts'
import type { OwnedPartition, ToStore } from './partition.ts'
import type { Window } from './window.ts'

/** Stores the verdicts of a partition that count only when they are stored. What could not be stored stays to be tried again. */
export async function storeVerdicts(
  context: RedisContext,
  group: string,
  keys: readonly string[],
  partition: OwnedPartition,
  window: Window,
): Promise<'stored' | 'failed' | 'lost'> {
  const batch = partition.toStore
  partition.toStore = []
  const failed = (left: readonly ToStore[], error: unknown): 'failed' => {
    partition.toStore.unshift(...left)
    const fields = { group, topic: partition.topic.name, messages: left.length, err: String(error) }
    context.logger.error(fields, 'cannot store redeliveries or dead letters: they stay unsettled and are tried again')
    return 'failed'
  }
  const now = context.now()
  const args = batch.flatMap((one) => argumentsOf(one, now))
  try {
    const head = [...keys, partition.n, partition.token, group, context.lease, now]
    const reply = await run(context.redis, 'busbarSettle', [...head, ...args])
    // What was set aside may be due at once: looked up with the next step.
    partition.nextDue = partition.nextSuspect = 0
    if (reply === null) {
      for (const { delivery } of batch) {
        delivery.abort()
        window.finish(partition, delivery)
      }
      return 'lost'
    }
    const results = list(reply).map(text)
    for (const [index, { delivery }] of batch.entries()) if (results[index] === '') window.stored(partition, delivery)
    const left = batch.filter((_, index) => results[index] !== '')
    return left.length === 0
      ? 'stored'
      : failed(
          left,
          results.find((result) => result !== ''),
        )
  } catch (error) {
    return failed(batch, error)
  }
}

/** The eleven arguments of one verdict: see `scripts/settle.ts`. */
function argumentsOf({ delivery, settlement }: ToStore, now: number): (string | number)[] {
  const { id, entry = '', lane = '', position, redeliveries, crashes, begun } = delivery
  const first = delivery.firstFailedAt
  const common = (due: number, attempts: number, times: number, failedAt: number | undefined, failure: string) => {
    const message = [settlement.what, id, entry, lane]
    return [...message, due, attempts, times, crashes, failedAt ?? '', failure, position]
  }
  if (settlement.what === 'redeliver') {
    const { after, attempts, firstFailedAt } = settlement.redeliver
    return common(now + Math.max(0, after), Math.max(begun, attempts), redeliveries + 1, first ?? firstFailedAt, '')
  }
  if (settlement.what === 'dead') {
    const { failure } = settlement
    const attempts = Math.max(begun, failure.attempts)
    return common(0, attempts, redeliveries, failure.firstFailedAt, JSON.stringify({ ...failure, attempts }))
  }
  return common(0, begun, redeliveries, first, '')
}
