import { matchesFilter, summarizeLetters } from '../broker/dead-letter-filter.ts'
import type {
  DeadLetter,
  DeadLetterEdit,
  DeadLetterFilter,
  DeadLetterGroup,
  DeadLetterSelection,
  DeadLetterStore,
  Page,
} from '../broker/index.ts'
import { type AsidePlace, type Asides, removed } from './asides.ts'
import type { NatsContext } from './context.ts'
import { scan } from './follower.ts'
import { type Beside, describe, LETTER_ROOM, letterFrom, type NewLetter, type StoredLetter } from './letter.ts'
import { sizeOf, toWire } from './wire.ts'

const DEFAULT_PAGE = 100
/** Letters redriven or discarded at once. */
const AT_ONCE = 50

/**
 * The dead letters: a stream with one subject for each group and message, so a letter put again replaces the one before.
 * A letter's id is its sequence there. Parked messages are letters with the reason `parked`; they cannot be redriven (they
 * follow by themselves when what is before them is acked or discarded), but discarded.
 */
export class NatsDeadLetters implements DeadLetterStore {
  private readonly running: () => { readonly context: NatsContext; readonly asides: Asides }

  /** `running` gives what a started broker has, and throws where it has not been started. */
  constructor(running: NatsDeadLetters['running']) {
    this.running = running
  }

  async put(letter: NewLetter): Promise<void> {
    await this.store(letter)
  }

  async store(letter: NewLetter, { held, source }: Beside = {}): Promise<void> {
    const { context } = this.running()
    const { names, nc } = context
    const { group, topic, message, failure } = letter
    const wire = toWire(message, context.headers)
    const room = (nc.info?.max_payload ?? Infinity) - LETTER_ROOM
    const elsewhere = source !== undefined && sizeOf(wire) > room
    describe(wire.headers, letter, { ...(held === undefined ? {} : { held }), ...(elsewhere ? { source } : {}) })
    const subject =
      failure.reason === 'parked' && held !== undefined
        ? names.parked(group, topic, held.partition, held.note.entry)
        : names.letter(group, topic, message.id)
    await context.js.publish(subject, elsewhere ? '' : wire.data, { headers: wire.headers })
  }

  /** A parked message has been settled, or is set aside itself now. */
  async removeParked({ group, topic, partition }: AsidePlace, entry: string): Promise<void> {
    const { jsm, names } = this.running().context
    await jsm.streams.purge(names.dead, { filter: names.parked(group, topic, partition, entry) })
  }

  async list(filter: DeadLetterFilter = {}, page: Page = {}): Promise<readonly DeadLetter[]> {
    return (await this.stored(filter, page)).map(({ letter }) => letter)
  }

  async get(id: string): Promise<DeadLetter | undefined> {
    return (await this.read(id))?.letter
  }

  async count(filter: DeadLetterFilter = {}): Promise<number> {
    let count = 0
    await this.each(filter, undefined, true, () => ++count > 0)
    return count
  }

  async summarize(filter: DeadLetterFilter = {}): Promise<readonly DeadLetterGroup[]> {
    const letters: DeadLetter[] = []
    await this.each(filter, undefined, true, ({ letter }) => letters.push(letter) > 0)
    return summarizeLetters(letters)
  }

  async redrive(which: DeadLetterSelection, edit?: DeadLetterEdit): Promise<number> {
    const { context } = this.running()
    return this.change(which, async (stored) => {
      const { letter } = stored
      if (letter.failure.reason === 'parked' && stored.held !== undefined) return false
      const message = edit === undefined ? letter.message : { ...edit(letter), id: letter.message.id }
      // The group has it again before the letter goes.
      const first = await this.giveBack(stored, message)
      // It may be gone by now: a message that failed again has replaced it.
      await removed(context, context.names.dead, Number(letter.id))
      return first
    })
  }

  async discard(which: DeadLetterSelection): Promise<number> {
    const { context } = this.running()
    return this.change(which, async (stored) => {
      // First, so that nothing waits for what is gone.
      await this.letGo(stored)
      return removed(context, context.names.dead, Number(stored.letter.id))
    })
  }

  /** False: another redrive of this letter was quicker. */
  private async giveBack(stored: StoredLetter, message: DeadLetter['message']): Promise<boolean> {
    const { context, asides } = this.running()
    const { letter, held } = stored
    const { group, topic: name } = letter
    const once = `redrive-${letter.id}`
    // What was edited is not what is elsewhere.
    const from = message === letter.message && stored.source !== undefined ? { source: stored.source } : {}
    if (held !== undefined && message.key === letter.message.key) {
      // In place of its note: it is the first of its lane.
      const { state: _, source: __, ...note } = held.note
      const again = { ...note, ...from, attempts: 0, redeliveries: 0, crashes: 0, due: Date.now() }
      const at = { group, topic: name, partition: held.partition }
      return (await asides.store(at, message, again, once)) !== undefined
    }
    const [topic] = await context.topology.ensure([name])
    if (topic === undefined) return false
    const partition = context.topology.partitionFor(topic, message.key)
    const first = await asides.publish(group, topic, partition, message, Date.now(), { once, ...from })
    await this.letGo(stored)
    return first
  }

  /** What waits behind it in its lane goes on. */
  private async letGo({ letter: { group, topic }, held }: StoredLetter): Promise<void> {
    if (held === undefined) return
    const at = { group, topic, partition: held.partition }
    await this.running().asides.store(at, undefined, { ...held.note, state: 'discarded', due: 0 })
  }

  private async change(which: DeadLetterSelection, one: (stored: StoredLetter) => Promise<boolean>): Promise<number> {
    let count = 0
    for await (const letters of this.pages(which)) {
      for (let at = 0; at < letters.length; at += AT_ONCE) {
        const done = await Promise.all(letters.slice(at, at + AT_ONCE).map(one))
        count += done.filter(Boolean).length
      }
    }
    return count
  }

  private async *pages(which: DeadLetterSelection): AsyncIterable<readonly StoredLetter[]> {
    if (Array.isArray(which)) {
      const found = await Promise.all((which as readonly string[]).map((id) => this.read(id)))
      yield found.filter((letter) => letter !== undefined)
      return
    }
    const { context } = this.running()
    // What fails again meanwhile is a letter of its own, and not meant.
    const { last_seq: last } = (await context.jsm.streams.info(context.names.dead)).state
    for (let after: string | undefined; ;) {
      const more = after === undefined ? {} : { after }
      const page = await this.stored(which as DeadLetterFilter, { limit: 200, ...more })
      const meant = page.filter(({ letter: { id } }) => Number(id) <= last)
      if (meant.length === 0) return
      yield meant
      after = page.at(-1)?.letter.id
    }
  }

  private async read(id: string): Promise<StoredLetter | undefined> {
    const { jsm, names } = this.running().context
    if (!/^[1-9]\d{0,14}$/.test(id)) return undefined
    const stored = await jsm.streams.getMessage(names.dead, { seq: Number(id) })
    if (stored === null) return undefined
    const known = letterFrom(names, stored)
    if (known?.source === undefined) return known
    const { stream, seq } = known.source
    const source = await jsm.streams.getMessage(stream, { seq }).catch(() => null)
    return letterFrom(names, stored, source?.data)
  }

  private async stored(filter: DeadLetterFilter, page: Page): Promise<readonly StoredLetter[]> {
    const { limit = DEFAULT_PAGE, after } = page
    const found: StoredLetter[] = []
    if (limit > 0) await this.each(filter, after, false, (stored) => found.push(stored) < limit)
    // The few whose body is elsewhere are read once more.
    return Promise.all(found.map(async (one) => (one.source && (await this.read(one.letter.id))) ?? one))
  }

  private async each(
    filter: DeadLetterFilter,
    after: string | undefined,
    headersOnly: boolean,
    visit: (stored: StoredLetter) => boolean,
  ): Promise<void> {
    const { context } = this.running()
    const { names } = context
    const from = after === undefined ? 1 : Number(after) + 1
    const where = { stream: names.dead, filter: names.letters(filter.group, filter.topic), from, headersOnly }
    await scan(context, where, (message) => {
      const stored = letterFrom(names, message)
      return stored === undefined || !matchesFilter(stored.letter, filter) || visit(stored)
    })
  }
}
