import type { Redis } from 'ioredis'
import type { Priority } from '../message/message.ts'
import type { Queue } from './queues.ts'

/**
 * BullMQ takes the smallest number first, and within one the oldest. What has no number at all would go before all others,
 * so every message has one.
 */
const NUMBERS = { critical: 1, high: 2, normal: 3, low: 4 } as const satisfies Record<Priority, number>
const HIGHEST = 1
const LOWEST = 4
/** Jobs of one priority that age at once: some always do, and a large backlog is not moved about. */
const AT_ONCE = 100
/** The score of a waiting job is its priority times this, and its number in line. */
const SCORES = 0x1_0000_0000

/** Key in a queue that says whose turn it is to let its jobs age. */
export const AGEING = 'ageing'

export function numberOf(priority: Priority | undefined): number {
  return NUMBERS[priority ?? 'normal']
}

/**
 * Nothing starves: each `ageing` milliseconds of waiting count as one priority more. Only where something of a higher
 * priority waits too; else the order is right as it is. One process at a time does it, every `every` milliseconds.
 */
export async function age(redis: Redis, queue: Queue, ageing: number, every: number): Promise<void> {
  const { backend } = queue
  const turn = await redis.set(backend.toKey(AGEING), '1', 'PX', Math.ceil(every), 'NX')
  if (turn === null) return
  const waiting = backend.keys['prioritized'] as string
  for (let number = HIGHEST + 1; number <= LOWEST; number++) {
    const ahead = await redis.zcount(waiting, '-inf', `(${number * SCORES}`)
    if (ahead === 0) continue
    const last = (number + 1) * SCORES - 1
    const jobs = await redis.zrangebyscore(waiting, number * SCORES, last, 'LIMIT', 0, AT_ONCE)
    await Promise.all(jobs.map((id) => ageJob(redis, queue, id, number, ageing)))
  }
}

async function ageJob(redis: Redis, queue: Queue, id: string, number: number, ageing: number): Promise<void> {
  const [since, options] = await redis.hmget(queue.job(id), 'timestamp', 'opts')
  if (typeof since !== 'string' || typeof options !== 'string') return
  const { priority = number } = JSON.parse(options) as { readonly priority?: number }
  const due = Math.max(HIGHEST, priority - Math.floor((Date.now() - Number(since)) / ageing))
  // It may be with a handler by now: then nothing is left to change.
  if (due < number) await queue.backend.changePriority(id, due).catch(() => {})
}
