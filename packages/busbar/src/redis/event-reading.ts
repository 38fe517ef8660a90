import { BEGINNING, type ReadAllOptions, type ReadStreamOptions, type StoredEvent } from '../store/index.ts'
import { BrokerError } from '../broker/index.ts'
import { list, type Reply, text } from './connection.ts'
import type { EventScripts } from './event-scripts.ts'
import { fromEntry, numberOf, positionOf, sizeOf } from './event-wire.ts'

/** Events of one answer: at first, and at most. */
const [FIRST, MOST] = [32, 512]
/** Bytes of an answer beyond which the next ones are smaller. */
const LARGE = 4 * 1024 * 1024

/** Reads page by page: of a store of any size no more than a page is in memory. */
export class EventReading {
  private readonly scripts: EventScripts

  constructor(scripts: EventScripts) {
    this.scripts = scripts
  }

  async *stream(stream: string, options: ReadStreamOptions): AsyncGenerator<StoredEvent> {
    const { direction = 'forwards', from, to, limit = Infinity } = options
    const step = direction === 'forwards' ? 1 : -1
    const size = new PageSize()
    let next = from
    for (let left = limit; left > 0;) {
      const count = size.within(left)
      const args = [stream, edge(next), edge(to), direction, String(count)]
      const events = this.events(await this.scripts.run('busbarReadStream', args), size)
      yield* events
      const last = events.at(-1)
      if (last === undefined || events.length < count) return
      left -= events.length
      next = last.revision + step
      // Before revision 0 there is nothing, and -1 would be no revision.
      if (next < 0) return
    }
  }

  async *all({ after = BEGINNING, types, categories, limit = Infinity }: ReadAllOptions): AsyncGenerator<StoredEvent> {
    const indexes = indexesOf(types, categories)
    if (indexes !== undefined) yield* this.pages(after, limit, indexes)
  }

  correlated(correlationId: string): AsyncGenerator<StoredEvent> {
    return this.pages(BEGINNING, Infinity, [`c:${correlationId}`])
  }

  private async *pages(after: string, limit: number, indexes: readonly string[]): AsyncGenerator<StoredEvent> {
    const size = new PageSize()
    let place = numberOf(after)
    if (place === undefined) {
      throw new BrokerError(
        `'${after}' is no position of an event store on Redis: take one that it gave you, or '' for the beginning`,
      )
    }
    for (let left = limit; left > 0;) {
      const args = [place, String(size.within(left)), ...indexes]
      const [looked, more, entries] = list(await this.scripts.run('busbarReadAll', args))
      const events = this.events(entries ?? [], size)
      yield* events
      if (Number(more) === 0) return
      left -= events.length
      place = text(looked)
    }
  }

  private events(entries: Reply, size: PageSize): StoredEvent[] {
    let bytes = 0
    const events = list(entries).map((entry) => {
      const [id, fields] = list(entry)
      const buffers = list(fields) as readonly Buffer[]
      bytes += sizeOf(buffers)
      return fromEntry(text(id), buffers, this.scripts.where)
    })
    size.learn(bytes)
    return events
  }
}

/** Small where events are large, so that a page of them does not fill the memory. */
class PageSize {
  private size = FIRST

  within(left: number): number {
    return Math.min(this.size, left)
  }

  learn(bytes: number): void {
    this.size = bytes > LARGE ? Math.max(1, Math.floor(this.size / 4)) : Math.min(MOST, this.size * 4)
  }
}

/** Indexes whose union is asked for: none of them is everything. Undefined: nothing is asked for. */
function indexesOf(
  types: readonly string[] | undefined,
  categories: readonly string[] | undefined,
): readonly string[] | undefined {
  if (types?.length === 0 || categories?.length === 0) return undefined
  if (types === undefined) return categories === undefined ? [] : [...new Set(categories)].map((one) => `k:${one}`)
  if (categories === undefined) return [...new Set(types)].map((one) => `t:${one}`)
  const both = categories.flatMap((category) =>
    types.map((type) => `kt:${Buffer.byteLength(category)}:${category}:${type}`),
  )
  return [...new Set(both)]
}

/** An end of a range as an argument: empty is open. */
function edge(revision: number | undefined): string {
  return revision === undefined || revision === Infinity ? '' : String(revision)
}

export function headOf(reply: readonly (string | null)[]): { readonly position: string; readonly count: number } {
  const [last, count] = reply
  return { position: last === null || last === undefined ? BEGINNING : positionOf(last), count: Number(count ?? 0) }
}
