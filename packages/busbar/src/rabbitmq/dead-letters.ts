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
import { randomUUID } from 'node:crypto'
import type { RabbitContext } from './context.ts'
import { groupOf, letterFromWire, letterToWire, newLetterId } from './letters.ts'
import type { Registry } from './registry.ts'
import { sendAgain } from './settling.ts'
import { Shelf } from './shelf.ts'
import type { Topology } from './topology.ts'

const DEFAULT_PAGE = 100
/** Letters redriven at once. */
const AT_ONCE = 50

export interface LetterParts {
  readonly context: RabbitContext
  readonly registry: Registry
  readonly topology: Topology
}

interface Held {
  readonly letter: DeadLetter
  readonly remove: () => void
}

/**
 * The dead letters: a quorum queue for each group, with the whole letter in each message (see `Shelf`). A list looks at the oldest
 * 65,000 letters of a group.
 */
export class RabbitDeadLetters implements DeadLetterStore {
  private readonly running: () => LetterParts
  private readonly shelves = new Map<string, Shelf>()

  /** `running` gives what a started broker has, and throws where it has not been started. */
  constructor(running: () => LetterParts) {
    this.running = running
  }

  async put(letter: Omit<DeadLetter, 'id'>): Promise<void> {
    const { registry } = this.running()
    const { group } = letter
    const { content, options } = letterToWire({ ...letter, id: newLetterId(group) })
    const shelf = this.shelf(group)
    await shelf.make()
    await registry.addLetters(group)
    await shelf.put(content, options)
  }

  async list(filter: DeadLetterFilter = {}, page: Page = {}): Promise<readonly DeadLetter[]> {
    const { limit = DEFAULT_PAGE, after = '' } = page
    let found: DeadLetter[] = []
    const trim = (): void => {
      found.sort((a, b) => (a.id < b.id ? -1 : 1))
      found = found.slice(0, limit)
    }
    if (limit <= 0) return []
    await this.each(filter, (letter) => {
      if (letter.id <= after) return
      found.push(letter)
      // Bodies of letters that are not on this page are not kept.
      if (found.length >= limit * 2 + 100) trim()
    })
    trim()
    return found
  }

  async get(id: string): Promise<DeadLetter | undefined> {
    const group = groupOf(id)
    if (group === undefined) return undefined
    let found: DeadLetter | undefined
    await this.each({ group }, (letter) => {
      if (letter.id === id) found = letter
    })
    return found
  }

  async count(filter: DeadLetterFilter = {}): Promise<number> {
    let count = 0
    await this.each(filter, () => count++)
    return count
  }

  async summarize(filter: DeadLetterFilter = {}): Promise<readonly DeadLetterGroup[]> {
    const letters: DeadLetter[] = []
    await this.each(filter, (letter) => letters.push({ ...letter, message: { ...letter.message, body: '' } }))
    return summarizeLetters(letters)
  }

  redrive(which: DeadLetterSelection, edit?: DeadLetterEdit): Promise<number> {
    return this.change(which, (letter) => this.giveBack(letter, edit))
  }

  discard(which: DeadLetterSelection): Promise<number> {
    return this.change(which, () => Promise.resolve())
  }

  /** Letters kept for a group, without looking at each. */
  size(group: string): Promise<number> {
    return this.shelf(group).size()
  }

  private async giveBack(letter: DeadLetter, edit: DeadLetterEdit | undefined): Promise<void> {
    const { context, topology } = this.running()
    const [topic] = await topology.ensure([letter.topic])
    if (topic === undefined) return
    const message = edit === undefined ? letter.message : { ...edit(letter), id: letter.message.id }
    const partition = topology.partitionFor(topic, message.key)
    // Where nobody has made it, the group is unknown: that is told, instead of a channel that ends.
    await topology.makeGroupExchange(topic, letter.group)
    const again = { entry: randomUUID(), due: 0, attempts: 0, redeliveries: 0, crashes: 0 }
    await sendAgain(context, { group: letter.group, topic, partition }, message, again)
  }

  /** A letter leaves its queue only when `act` is through with it. Each group's letters are held meanwhile, so nobody else does the same. */
  private async change(which: DeadLetterSelection, act: (letter: DeadLetter) => Promise<void>): Promise<number> {
    const ids = Array.isArray(which) ? new Set(which as readonly string[]) : undefined
    const filter = ids === undefined ? (which as DeadLetterFilter) : {}
    const wanted = ids === undefined ? undefined : new Set([...ids].map(groupOf).filter((group) => group !== undefined))
    let count = 0
    for (const group of await this.groups(filter, wanted)) {
      await this.hold(group, filter, async (letters) => {
        const chosen = letters.filter(({ letter }) => ids?.has(letter.id) ?? true)
        for (let at = 0; at < chosen.length; at += AT_ONCE) {
          await Promise.all(
            chosen.slice(at, at + AT_ONCE).map(async ({ letter, remove }) => {
              await act(letter)
              remove()
              count++
            }),
          )
        }
      })
    }
    return count
  }

  private async each(filter: DeadLetterFilter, visit: (letter: DeadLetter) => void): Promise<void> {
    for (const group of await this.groups(filter, undefined)) {
      await this.hold(group, filter, (letters) => {
        for (const { letter } of letters) visit(letter)
      })
    }
  }

  /** Letters of a group that match, oldest first, while nobody else can change them. */
  private hold(
    group: string,
    filter: DeadLetterFilter,
    act: (letters: readonly Held[]) => void | Promise<void>,
  ): Promise<void> {
    const latest = new Map<string, Held>()
    return this.shelf(group).hold(
      ({ received, remove }) => {
        const letter = letterFromWire(received)
        if (letter === undefined) return
        // A letter that was put again takes the place of the one before.
        const { id } = letter.message
        latest.get(id)?.remove()
        latest.delete(id)
        latest.set(id, { letter, remove })
      },
      () => act([...latest.values()].filter(({ letter }) => matchesFilter(letter, filter))),
    )
  }

  private async groups(
    { group }: DeadLetterFilter,
    wanted: ReadonlySet<string> | undefined,
  ): Promise<readonly string[]> {
    const { letters } = await this.running().registry.read()
    const chosen = wanted ?? (group === undefined ? letters : [group])
    return [...chosen].filter((one) => letters.has(one)).toSorted()
  }

  private shelf(group: string): Shelf {
    const { context } = this.running()
    const known = this.shelves.get(group)
    if (known !== undefined) return known
    const shelf = new Shelf(context, context.names.letters(group))
    this.shelves.set(group, shelf)
    return shelf
  }
}
