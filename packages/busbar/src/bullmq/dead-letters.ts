import {
  type DeadLetter,
  type DeadLetterEdit,
  type DeadLetterFilter,
  type DeadLetterGroup,
  type DeadLetterSelection,
  type DeadLetterStore,
  matchesFilter,
  type Page,
  summarizeLetters,
} from '../broker/index.ts'
import { uuidv7 } from '../message/uuid.ts'
import type { BullMqContext } from './context.ts'
import { none } from './counts.ts'
import { letterOf } from './letter.ts'
import { numberOf } from './priority.ts'
import type { Queue } from './queues.ts'
import { run } from './scripts.ts'
import { reasonOf } from './settling.ts'
import { toJobData } from './wire.ts'

const DEFAULT_PAGE = 100
/** Letters read in one round trip. */
const AT_ONCE = 200

/** Where a letter is. */
interface Place {
  readonly id: string
  readonly queue: Queue
  readonly jobId: string
}

/**
 * The dead letters are BullMQ's failed jobs, which nothing removes by itself: what its own tools show and retry. Ids sort by
 * time. Redis has no queries, so a filter beyond group and topic reads the letters of those.
 */
export class BullMqDeadLetters implements DeadLetterStore {
  private readonly contextOf: () => BullMqContext

  /** `contextOf` throws while the broker is not running. */
  constructor(contextOf: () => BullMqContext) {
    this.contextOf = contextOf
  }

  async put(letter: Omit<DeadLetter, 'id'>): Promise<void> {
    const { redis, queues, registry } = this.contextOf()
    const { group, topic, message, failure, redeliveries, position } = letter
    const { name, index, backend } = queues.of(group, topic)
    const progress = { ...none, redeliveries, attempts: failure.attempts, failure, position }
    const { priority = 'normal' } = message
    const job = {
      name: message.type,
      data: toJobData(message),
      opts: JSON.stringify({ attempts: 1, removeOnComplete: true, removeOnFail: false, priority: numberOf(priority) }),
      timestamp: message.time.getTime(),
      delay: 0,
      priority: numberOf(priority),
      progress: JSON.stringify(progress),
      failedReason: reasonOf(failure),
      stacktrace: JSON.stringify(failure.error.stack === undefined ? [] : [failure.error.stack]),
    }
    const keys = [index, backend.keys['failed'] as string, registry.shelvesKey]
    const shelf = JSON.stringify({ group, topic })
    const head = [...keys, message.id, uuidv7(), name, shelf, backend.toKey(''), Date.now()]
    await run(redis, 'busbarPut', [...head, ...Object.entries(job).flat()])
  }

  async list(filter: DeadLetterFilter = {}, page: Page = {}): Promise<readonly DeadLetter[]> {
    const { limit = DEFAULT_PAGE, after } = page
    const letters: DeadLetter[] = []
    for await (const letter of this.all(filter, after)) {
      if (letters.length >= limit) break
      letters.push(letter)
    }
    return letters
  }

  async get(id: string): Promise<DeadLetter | undefined> {
    const place = this.placeOf(id)
    if (place === undefined) return undefined
    const [letter] = await this.read([place])
    return letter
  }

  async count(filter: DeadLetterFilter = {}): Promise<number> {
    let count = 0
    for await (const _ of this.all(filter)) count++
    return count
  }

  async summarize(filter: DeadLetterFilter = {}): Promise<readonly DeadLetterGroup[]> {
    const letters: DeadLetter[] = []
    for await (const letter of this.all(filter)) letters.push(letter)
    return summarizeLetters(letters)
  }

  redrive(which: DeadLetterSelection, edit?: DeadLetterEdit): Promise<number> {
    const { redis } = this.contextOf()
    return this.each(which, async (letter, { queue, jobId }) => {
      const fields = ['progress', JSON.stringify(none)]
      if (edit !== undefined) {
        const edited = { ...edit(letter), id: letter.message.id }
        fields.push('data', toJobData(edited), 'name', edited.type, 'priority', String(numberOf(edited.priority)))
      }
      const keys = [queue.index, queue.backend.keys['failed'] as string, queue.job(jobId)]
      const amended = Number(await run(redis, 'busbarAmend', [...keys, jobId, letter.message.id, ...fields]))
      return amended === 1 && (await this.retry(queue, jobId)) ? 1 : 0
    })
  }

  discard(which: DeadLetterSelection): Promise<number> {
    const { redis } = this.contextOf()
    return this.each(which, async (letter, { queue, jobId }) => {
      const { backend, index } = queue
      const args = [index, backend.keys['failed'] as string, jobId, letter.message.id, backend.toKey('')]
      return Number(await run(redis, 'busbarDiscard', args))
    })
  }

  /** False: somebody else has just taken it. */
  private async retry({ backend }: Queue, jobId: string): Promise<boolean> {
    try {
      const job = { id: jobId, opts: {} } as never
      await backend.retryFinishedJob(job, 'failed', { resetAttemptsMade: true, resetAttemptsStarted: true })
      return true
    } catch (error) {
      if (typeof (error as { readonly code?: unknown }).code === 'number') return false
      throw error
    }
  }

  private async each(
    which: DeadLetterSelection,
    change: (letter: DeadLetter, at: Place) => Promise<number>,
  ): Promise<number> {
    const ids = isIds(which) ? which : await this.idsOf(which)
    let changed = 0
    for (let from = 0; from < ids.length; from += AT_ONCE) {
      const places = ids.slice(from, from + AT_ONCE).flatMap((id) => this.placeOf(id) ?? [])
      const letters = await this.read(places)
      const counts = await Promise.all(
        letters.map(async (letter, index) => (letter === undefined ? 0 : change(letter, places[index] as Place))),
      )
      for (const count of counts) changed += count
    }
    return changed
  }

  private async idsOf(filter: DeadLetterFilter): Promise<string[]> {
    const ids: string[] = []
    for await (const letter of this.all(filter)) ids.push(letter.id)
    return ids
  }

  /** Those that match, oldest first. */
  private async *all(filter: DeadLetterFilter, after = ''): AsyncGenerator<DeadLetter> {
    const { redis, queues } = this.contextOf()
    const shelves = await this.shelves(filter)
    const named = await Promise.all(
      shelves.map(async ({ group, topic }) => {
        const queue = queues.of(group, topic)
        const scored = await redis.zrange(queue.backend.keys['failed'] as string, '0', '-1', 'WITHSCORES')
        const places: Place[] = []
        for (let at = 0; at + 1 < scored.length; at += 2) {
          const jobId = scored[at] as string
          places.push({ id: idOf(queue, jobId, Number(scored[at + 1])), queue, jobId })
        }
        return places
      }),
    )
    const all = named
      .flat()
      .filter(({ id }) => id > after)
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    for (let from = 0; from < all.length; from += AT_ONCE) {
      for (const letter of await this.read(all.slice(from, from + AT_ONCE))) {
        if (letter !== undefined && matchesFilter(letter, filter)) yield letter
      }
    }
  }

  private async shelves(filter: DeadLetterFilter): Promise<{ group: string; topic: string }[]> {
    const { registry } = this.contextOf()
    const known = new Map<string, { group: string; topic: string }>()
    // Jobs that BullMQ itself or its tools made fail are on no list of ours.
    for (const { group, topic, temporary } of [...(await registry.entries()), ...(await registry.shelves())]) {
      if (temporary === true || (filter.group ?? group) !== group || (filter.topic ?? topic) !== topic) continue
      known.set(`${group}\n${topic}`, { group, topic })
    }
    return [...known.values()]
  }

  private async read(places: readonly Place[]): Promise<(DeadLetter | undefined)[]> {
    const { redis } = this.contextOf()
    return Promise.all(
      places.map(async ({ id, queue, jobId }) => {
        const [job, finished] = await Promise.all([
          redis.hgetall(queue.job(jobId)),
          redis.zscore(queue.backend.keys['failed'] as string, jobId),
        ])
        // Under another time it is another letter.
        if (finished === null || idOf(queue, jobId, Number(finished)) !== id) return undefined
        return letterOf(job, { id, jobId, queue })
      }),
    )
  }

  private placeOf(id: string): Place | undefined {
    const { queues } = this.contextOf()
    const found = /^\d{15}-([^.]+)\.([\w-]+)$/.exec(id)
    if (found === null) return undefined
    try {
      const [group, topic] = JSON.parse(Buffer.from(found[2] as string, 'base64url').toString('utf8')) as unknown[]
      if (typeof group !== 'string' || typeof topic !== 'string') return undefined
      return { id, queue: queues.of(group, topic), jobId: decodeURIComponent(found[1] as string) }
    } catch {
      return undefined
    }
  }
}

/** Sorts by time, and says where the letter is. */
function idOf({ group, topic }: Queue, jobId: string, finishedOn: number): string {
  const where = Buffer.from(JSON.stringify([group, topic])).toString('base64url')
  return `${String(finishedOn).padStart(15, '0')}-${encodeURIComponent(jobId).replaceAll('.', '%2E')}.${where}`
}

function isIds(which: DeadLetterSelection): which is readonly string[] {
  return Array.isArray(which)
}
