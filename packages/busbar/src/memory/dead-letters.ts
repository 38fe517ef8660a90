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

/** What the store asks of the broker. */
export interface LetterHost {
  /** Gives the letter's message to its group again. */
  redrive(letter: DeadLetter): void
  /** The letter is gone; what is parked behind it may go on. */
  discarded(letter: DeadLetter): void
  /** Messages that wait behind a dead letter or a redelivery, as letters. */
  parked(): Iterable<DeadLetter>
}

/** Dead letters in memory: gone with the process. */
export class MemoryDeadLetters implements DeadLetterStore {
  private readonly letters = new Map<string, DeadLetter>()
  private readonly host: LetterHost

  constructor(host: LetterHost) {
    this.host = host
  }

  put(letter: Omit<DeadLetter, 'id'>): Promise<void> {
    this.add(letter)
    return Promise.resolve()
  }

  add(letter: Omit<DeadLetter, 'id'>): void {
    const id = letterId(letter.group, letter.message.id)
    // Put again it is the newest.
    this.letters.delete(id)
    this.letters.set(id, { ...letter, id })
  }

  async list(filter?: DeadLetterFilter, page: Page = {}): Promise<readonly DeadLetter[]> {
    const all = [...this.matching(filter)]
    const from = page.after === undefined ? 0 : all.findIndex((letter) => letter.id === page.after) + 1
    return all.slice(from, from + (page.limit ?? 100))
  }

  async get(id: string): Promise<DeadLetter | undefined> {
    for (const letter of this.matching(undefined)) if (letter.id === id) return letter
    return undefined
  }

  async count(filter?: DeadLetterFilter): Promise<number> {
    return [...this.matching(filter)].length
  }

  async summarize(filter?: DeadLetterFilter): Promise<readonly DeadLetterGroup[]> {
    return summarizeLetters(this.matching(filter))
  }

  async redrive(which: DeadLetterSelection, edit?: DeadLetterEdit): Promise<number> {
    const chosen = this.choose(which)
    // All edits first: one that throws leaves everything as it was.
    const edited = chosen.map((letter) =>
      edit === undefined ? letter : { ...letter, message: { ...edit(letter), id: letter.message.id } },
    )
    for (const letter of edited) {
      // In this order: a group that cannot take it leaves the letter where it is.
      this.host.redrive(letter)
      this.letters.delete(letter.id)
    }
    return chosen.length
  }

  async discard(which: DeadLetterSelection): Promise<number> {
    const chosen = this.choose(which)
    for (const letter of chosen) {
      this.letters.delete(letter.id)
      this.host.discarded(letter)
    }
    return chosen.length
  }

  /** Of one group, for its metrics. */
  countOf(group: string, topic: string): number {
    let count = 0
    for (const letter of this.letters.values()) if (letter.group === group && letter.topic === topic) count++
    return count
  }

  /** Parked messages are shown but not chosen: they go when what is before them goes. */
  private choose(which: DeadLetterSelection): DeadLetter[] {
    if (isIds(which)) return which.map((id) => this.letters.get(id)).filter((letter) => letter !== undefined)
    return [...this.letters.values()].filter((letter) => matchesFilter(letter, which))
  }

  private *matching(filter: DeadLetterFilter | undefined): Iterable<DeadLetter> {
    for (const letter of this.letters.values()) if (matchesFilter(letter, filter)) yield letter
    for (const letter of this.host.parked()) if (matchesFilter(letter, filter)) yield letter
  }
}

export function letterId(group: string, messageId: string): string {
  return `${group}:${messageId}`
}

function isIds(which: DeadLetterSelection): which is readonly string[] {
  return Array.isArray(which)
}
