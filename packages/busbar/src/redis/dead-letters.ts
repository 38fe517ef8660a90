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
import { letterOf } from './aside.ts'
import { run } from './connection.ts'
import type { RedisContext } from './context.ts'
import { putAside } from './letters.ts'
import { type Field, toFields } from './wire.ts'

const DEFAULT_PAGE = 100
/** Letters read in one round trip. */
const AT_ONCE = 200

/** One place where letters are: a group on a topic. */
interface Shelf {
  readonly topic: string
  readonly group: string
}

/**
 * The dead letters of Redis: hashes beside those of the redeliveries, so that a verdict and its letter are one script. Their
 * ids sort by time. Redis has no queries, so a filter beyond group and topic reads the letters of those.
 */
export class RedisDeadLetters implements DeadLetterStore {
  private readonly contextOf: () => RedisContext

  /** `contextOf` throws while the broker is not running. */
  constructor(contextOf: () => RedisContext) {
    this.contextOf = contextOf
  }

  async put(letter: Omit<DeadLetter, 'id'>): Promise<void> {
    const context = this.contextOf()
    const topic = await context.topics.ensure(letter.topic)
    const { group, message, position: place, redeliveries, failure } = letter
    const partition = context.topics.partitionFor(topic, message.key)
    const of = { group, topic: topic.name, partition, message, place, redeliveries }
    await putAside(context, { ...of, state: 'dead', dueAt: 0, failure })
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
    const at = placeOf(id)
    if (at === undefined) return undefined
    const [letter] = await this.read([{ ...at, id }])
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
    const { redis, keys, now } = this.contextOf()
    return this.each(which, async (letter, { topic, group, entry }) => {
      const edited = edit?.(letter)
      const fields: Field[] = edited === undefined ? [] : toFields({ ...edited, id: letter.message.id })
      const args = [keys.group(topic, group), keys.base(topic), group, entry, String(now()), ...fields]
      return Number(await run(redis, 'busbarRedrive', args))
    })
  }

  discard(which: DeadLetterSelection): Promise<number> {
    const { redis, keys, now } = this.contextOf()
    return this.each(which, async (_, { topic, group, entry }) => {
      const args = [keys.group(topic, group), keys.base(topic), group, entry, String(now())]
      return Number(await run(redis, 'busbarDiscard', args))
    })
  }

  private async each(
    which: DeadLetterSelection,
    change: (letter: DeadLetter, at: Shelf & { readonly entry: string }) => Promise<number>,
  ): Promise<number> {
    const ids = isIds(which) ? which : (await this.idsOf(which)).toSorted()
    let changed = 0
    for (let from = 0; from < ids.length; from += AT_ONCE) {
      const places = ids.slice(from, from + AT_ONCE).flatMap((id) => {
        const at = placeOf(id)
        return at === undefined ? [] : [{ ...at, id }]
      })
      const letters = await this.read(places)
      const counts = await Promise.all(
        letters.map((letter, index) =>
          letter === undefined ? Promise.resolve(0) : change(letter, places[index] as (typeof places)[0]),
        ),
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
    const { redis, keys } = this.contextOf()
    const shelves = await this.shelves(filter)
    const named = await Promise.all(
      shelves.map(async (shelf) => {
        const entries = await redis.zrange(`${keys.group(shelf.topic, shelf.group)}:letters`, '0', '-1')
        return entries.map((entry) => ({ ...shelf, entry, id: idOf({ ...shelf, entry }) }))
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

  private async shelves(filter: DeadLetterFilter): Promise<Shelf[]> {
    const { redis, keys } = this.contextOf()
    const topics = filter.topic === undefined ? await redis.smembers(keys.topics) : [filter.topic]
    const shelves = await Promise.all(
      topics.map(async (topic) => {
        const groups = filter.group === undefined ? await redis.smembers(`${keys.base(topic)}groups`) : [filter.group]
        return groups.map((group) => ({ topic, group }))
      }),
    )
    return shelves.flat()
  }

  private async read(
    places: readonly (Shelf & { readonly entry: string; readonly id: string })[],
  ): Promise<(DeadLetter | undefined)[]> {
    const { redis, keys } = this.contextOf()
    return Promise.all(
      places.map(async ({ topic, group, entry, id }) => {
        const hash = await redis.callBuffer('HGETALL', `${keys.group(topic, group)}:a:${entry}`)
        return letterOf(hash as readonly Buffer[], { id, topic, group })
      }),
    )
  }
}

/** Sorts by time, and says where the letter is. */
function idOf({ topic, group, entry }: Shelf & { readonly entry: string }): string {
  return `${entry}.${Buffer.from(JSON.stringify([topic, group])).toString('base64url')}`
}

function placeOf(id: string): (Shelf & { readonly entry: string }) | undefined {
  const [entry, where] = id.split('.')
  if (entry === undefined || where === undefined || !/^\d+-\d+$/.test(entry)) return undefined
  try {
    const [topic, group] = JSON.parse(Buffer.from(where, 'base64url').toString('utf8')) as unknown[]
    return typeof topic === 'string' && typeof group === 'string' ? { topic, group, entry } : undefined
  } catch {
    return undefined
  }
}

function isIds(which: DeadLetterSelection): which is readonly string[] {
  return Array.isArray(which)
}
