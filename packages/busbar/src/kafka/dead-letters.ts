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
import type { KafkaContext } from './context.ts'
import { readAt, scan } from './reading.ts'
import type { LogRecord } from './records.ts'
import { fromWire, headerOf, tombstone, toWire } from './wire.ts'

const LETTER = 'busbar-letter'
const DEFAULT_PAGE = 100
/** Characters of a stack that are kept: it travels in a header. */
const STACK = 8_000
/** Letters redriven or discarded at once. */
const AT_ONCE = 50
const PARTITION = 0

/** What a letter says beside its message. */
type Info = Pick<DeadLetter, 'group' | 'topic' | 'position' | 'redeliveries' | 'failure'>

/**
 * The dead letters: a compacted topic of one partition with one key for each group and message, so a letter put again replaces
 * the one before, and one that is gone is deleted. A letter's id is its offset there. Which letters there are is known from
 * reading the topic once; from then on only what is new is read.
 */
export class KafkaDeadLetters implements DeadLetterStore {
  private readonly running: () => KafkaContext
  /** Offset of each letter, by key, oldest first. */
  private readonly index = new Map<string, number>()
  private position = 0
  private reading: Promise<void> | undefined
  private readonly changing = new Map<string, Promise<unknown>>()

  /** `running` gives what a started broker has, and throws where it has not been started. */
  constructor(running: () => KafkaContext) {
    this.running = running
  }

  async put(letter: Omit<DeadLetter, 'id'>): Promise<void> {
    const { producer, topology, names } = this.running()
    const { message, failure, group, topic, position, redeliveries } = letter
    await topology.ensureDead()
    const { stack } = failure.error
    const error = stack === undefined ? failure.error : { ...failure.error, stack: stack.slice(0, STACK) }
    const info: Info = { group, topic, position, redeliveries, failure: { ...failure, error } }
    const record = toWire(message, { [LETTER]: JSON.stringify(info) }, keyOf(group, topic, message.id))
    await producer.write(names.dead, PARTITION, record)
  }

  async list(filter: DeadLetterFilter = {}, page: Page = {}): Promise<readonly DeadLetter[]> {
    const { limit = DEFAULT_PAGE, after } = page
    const found: DeadLetter[] = []
    const from = after === undefined ? 0 : offsetOf(after)
    if (limit > 0 && from !== undefined) {
      await this.each(filter, after === undefined ? 0 : from + 1, (letter) => found.push(letter) < limit)
    }
    return found
  }

  async get(id: string): Promise<DeadLetter | undefined> {
    const { cluster, names } = this.running()
    const offset = offsetOf(id)
    if (offset === undefined) return undefined
    await this.refresh()
    if (![...this.index.values()].includes(offset)) return undefined
    const record = await readAt(cluster, names.dead, PARTITION, offset)
    return record === undefined ? undefined : letterOf(record)
  }

  async count(filter: DeadLetterFilter = {}): Promise<number> {
    if (Object.keys(filter).length === 0) {
      await this.refresh()
      return this.index.size
    }
    let count = 0
    await this.each(filter, 0, () => ++count > 0)
    return count
  }

  async summarize(filter: DeadLetterFilter = {}): Promise<readonly DeadLetterGroup[]> {
    const letters: DeadLetter[] = []
    await this.each(filter, 0, (letter) => letters.push({ ...letter, message: { ...letter.message, body: '' } }) > 0)
    return summarizeLetters(letters)
  }

  async redrive(which: DeadLetterSelection, edit?: DeadLetterEdit): Promise<number> {
    const { topology, asides } = this.running()
    return this.change(which, async (letter) => {
      const [topic] = await topology.ensure([letter.topic])
      if (topic === undefined) return
      const message = edit === undefined ? letter.message : { ...edit(letter), id: letter.message.id }
      // The group has it again before the letter goes; named after the letter, so that asking twice brings it back once.
      await asides.publish(letter.group, topic, message, Date.now(), `r${letter.id}`)
    })
  }

  async discard(which: DeadLetterSelection): Promise<number> {
    return this.change(which, async () => {})
  }

  /** How many letters each group has of each topic. */
  async counts(): Promise<ReadonlyMap<string, number>> {
    await this.refresh()
    const counts = new Map<string, number>()
    for (const key of this.index.keys()) {
      const [group, topic] = JSON.parse(key) as [string, string, string]
      const name = JSON.stringify([group, topic])
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    return counts
  }

  /** Does something with each letter and deletes it then. Of two that change one letter at once the second comes too late. */
  private async change(which: DeadLetterSelection, before: (letter: DeadLetter) => Promise<void>): Promise<number> {
    let count = 0
    const one = async (id: string): Promise<void> => {
      const letter = await this.get(id)
      if (letter === undefined) return
      await before(letter)
      const { producer, names } = this.running()
      await producer.write(names.dead, PARTITION, tombstone(keyOf(letter.group, letter.topic, letter.message.id)))
      count++
    }
    for await (const ids of this.pages(which)) {
      for (let at = 0; at < ids.length; at += AT_ONCE) {
        await Promise.all(ids.slice(at, at + AT_ONCE).map((id) => this.inTurn(id, () => one(id))))
      }
    }
    return count
  }

  private async inTurn(id: string, task: () => Promise<void>): Promise<void> {
    const turn = (this.changing.get(id) ?? Promise.resolve()).catch(() => {}).then(task)
    this.changing.set(id, turn)
    try {
      await turn
    } finally {
      if (this.changing.get(id) === turn) this.changing.delete(id)
    }
  }

  private async *pages(which: DeadLetterSelection): AsyncIterable<readonly string[]> {
    if (Array.isArray(which)) {
      yield [...new Set(which as readonly string[])]
      return
    }
    await this.refresh()
    // What fails again meanwhile is a letter of its own, and not meant.
    const end = this.position
    for (let after: string | undefined; ;) {
      const page = await this.list(which as DeadLetterFilter, { limit: 200, ...(after === undefined ? {} : { after }) })
      const meant = page.filter(({ id }) => Number(id) < end)
      if (meant.length === 0) return
      yield meant.map(({ id }) => id)
      after = page.at(-1)?.id
    }
  }

  /** Letters in order, from an offset on, until `visit` says false. */
  private async each(filter: DeadLetterFilter, from: number, visit: (letter: DeadLetter) => boolean): Promise<void> {
    const { cluster, names } = this.running()
    await this.refresh()
    const offsets = [...this.index.values()]
    const first = offsets.find((offset) => offset >= from)
    if (first === undefined) return
    const live = new Set(offsets)
    await scan(cluster, names.dead, PARTITION, first, (record) => {
      if (!live.has(record.offset)) return true
      const letter = letterOf(record)
      return letter === undefined || !matchesFilter(letter, filter) || visit(letter)
    })
  }

  /** Reads what is new. */
  private async refresh(): Promise<void> {
    // What is being read may have begun before what the caller has just written.
    await this.reading
    this.reading ??= this.read().finally(() => {
      this.reading = undefined
    })
    await this.reading
  }

  private async read(): Promise<void> {
    const { cluster, names } = this.running()
    if (cluster.known(names.dead) === undefined) {
      const [found] = await cluster.describe([names.dead])
      if (found === undefined) return
    }
    this.position = await scan(cluster, names.dead, PARTITION, this.position, ({ key, value, offset }) => {
      const name = key?.toString('utf8') ?? ''
      // Put again it is the newest.
      this.index.delete(name)
      if (value !== null) this.index.set(name, offset)
    })
  }
}

function keyOf(group: string, topic: string, messageId: string): string {
  return JSON.stringify([group, topic, messageId])
}

function offsetOf(id: string): number | undefined {
  return /^\d{1,15}$/.test(id) ? Number(id) : undefined
}

function letterOf(record: LogRecord): DeadLetter | undefined {
  const text = headerOf(record, LETTER)
  if (text === undefined || record.value === null) return undefined
  return { id: String(record.offset), ...(JSON.parse(text) as Info), message: fromWire({ ...record, key: null }) }
}
