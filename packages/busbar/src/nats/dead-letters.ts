import type { JsMsg, StoredMsg } from '@nats-io/jetstream'
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
import { type Asides, removed } from './asides.ts'
import type { NatsContext } from './context.ts'
import { scan } from './follower.ts'
import { fromToken } from './names.ts'
import { fromWire, headerOf, toWire } from './wire.ts'

const LETTER = 'busbar-letter'
const DEFAULT_PAGE = 100
/** Characters of a stack that are kept: it travels in a header. */
const STACK = 8_000
/** Letters redriven or discarded at once. */
const AT_ONCE = 50

/**
 * The dead letters: a stream with one subject for each group and message, so a letter put again replaces the one before.
 * A letter's id is its sequence there.
 */
export class NatsDeadLetters implements DeadLetterStore {
  private readonly running: () => { readonly context: NatsContext; readonly asides: Asides }

  /** `running` gives what a started broker has, and throws where it has not been started. */
  constructor(running: NatsDeadLetters['running']) {
    this.running = running
  }

  async put(letter: Omit<DeadLetter, 'id'>): Promise<void> {
    const { context } = this.running()
    const { message, failure, group, topic, position, redeliveries } = letter
    const { headers, data } = toWire(message, context.headers)
    const { stack } = failure.error
    const error = stack === undefined ? failure.error : { ...failure.error, stack: stack.slice(0, STACK) }
    headers.append(
      LETTER,
      encodeURIComponent(JSON.stringify({ position, redeliveries, failure: { ...failure, error } })),
    )
    await context.js.publish(context.names.letter(group, topic, message.id), data, { headers })
  }

  async list(filter: DeadLetterFilter = {}, page: Page = {}): Promise<readonly DeadLetter[]> {
    const { limit = DEFAULT_PAGE, after } = page
    const found: DeadLetter[] = []
    if (limit > 0) await this.each(filter, after, false, (letter) => found.push(letter) < limit)
    return found
  }

  async get(id: string): Promise<DeadLetter | undefined> {
    const { context } = this.running()
    if (!/^[1-9]\d{0,14}$/.test(id)) return undefined
    const stored = await context.jsm.streams.getMessage(context.names.dead, { seq: Number(id) })
    return stored === null ? undefined : this.letterOf(stored)
  }

  async count(filter: DeadLetterFilter = {}): Promise<number> {
    let count = 0
    await this.each(filter, undefined, true, () => ++count > 0)
    return count
  }

  async summarize(filter: DeadLetterFilter = {}): Promise<readonly DeadLetterGroup[]> {
    const letters: DeadLetter[] = []
    await this.each(filter, undefined, true, (letter) => letters.push(letter) > 0)
    return summarizeLetters(letters)
  }

  async redrive(which: DeadLetterSelection, edit?: DeadLetterEdit): Promise<number> {
    const { context, asides } = this.running()
    return this.change(which, async (letter) => {
      const [topic] = await context.topology.ensure([letter.topic])
      if (topic === undefined) return false
      const message = edit === undefined ? letter.message : { ...edit(letter), id: letter.message.id }
      const partition = context.topology.partitionFor(topic, message.key)
      // The group has it again before the letter goes; of two redrives at once only one stores it.
      const stored = await asides.publish(letter.group, topic, partition, message, Date.now(), `redrive-${letter.id}`)
      // It may be gone by now: a message that failed again has replaced it.
      await removed(context, context.names.dead, Number(letter.id))
      return stored
    })
  }

  async discard(which: DeadLetterSelection): Promise<number> {
    const { context } = this.running()
    return this.change(which, ({ id }) => removed(context, context.names.dead, Number(id)))
  }

  private async change(which: DeadLetterSelection, one: (letter: DeadLetter) => Promise<boolean>): Promise<number> {
    let count = 0
    for await (const letters of this.pages(which)) {
      for (let at = 0; at < letters.length; at += AT_ONCE) {
        const done = await Promise.all(letters.slice(at, at + AT_ONCE).map(one))
        count += done.filter(Boolean).length
      }
    }
    return count
  }

  private async *pages(which: DeadLetterSelection): AsyncIterable<readonly DeadLetter[]> {
    if (Array.isArray(which)) {
      const found = await Promise.all((which as readonly string[]).map((id) => this.get(id)))
      yield found.filter((letter) => letter !== undefined)
      return
    }
    const { context } = this.running()
    // What fails again meanwhile is a letter of its own, and not meant.
    const { last_seq: last } = (await context.jsm.streams.info(context.names.dead)).state
    for (let after: string | undefined; ;) {
      const page = await this.list(which as DeadLetterFilter, { limit: 200, ...(after === undefined ? {} : { after }) })
      const meant = page.filter(({ id }) => Number(id) <= last)
      if (meant.length === 0) return
      yield meant
      after = page.at(-1)?.id
    }
  }

  private async each(
    filter: DeadLetterFilter,
    after: string | undefined,
    headersOnly: boolean,
    visit: (letter: DeadLetter) => boolean,
  ): Promise<void> {
    const { context } = this.running()
    const { names } = context
    const from = after === undefined ? 1 : Number(after) + 1
    const where = { stream: names.dead, filter: names.letters(filter.group, filter.topic), from, headersOnly }
    await scan(context, where, (message) => {
      const letter = this.letterOf(message)
      return letter === undefined || !matchesFilter(letter, filter) || visit(letter)
    })
  }

  private letterOf(stored: JsMsg | StoredMsg): DeadLetter | undefined {
    const headers = 'headers' in stored ? stored.headers : stored.header
    const text = headerOf(headers, LETTER)
    if (text === '') return undefined
    const [group = '', topic = ''] = this.running().context.names.tokens(stored.subject)
    const rest = JSON.parse(decodeURIComponent(text)) as Pick<DeadLetter, 'position' | 'redeliveries' | 'failure'>
    const message = fromWire(headers, stored.data)
    return { id: String(stored.seq), group: fromToken(group), topic: fromToken(topic), message, ...rest }
  }
}
