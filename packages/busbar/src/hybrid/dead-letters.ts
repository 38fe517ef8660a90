import {
  type DeadLetter,
  type DeadLetterEdit,
  type DeadLetterFilter,
  type DeadLetterGroup,
  type DeadLetterSelection,
  type DeadLetterStore,
  type Page,
  summarizeLetters,
} from '../broker/index.ts'

type Side = 'local' | 'remote'

/** Letters read from one side at a time. */
const PAGE = 100

/**
 * The dead letters of both brokers as one list. A letter stays with the broker that handed the message out, which is where
 * its way back begins; its id here is that broker's with the side before it: `remote:42`.
 */
export class HybridDeadLetters implements DeadLetterStore {
  readonly #stores: Readonly<Record<Side, DeadLetterStore>>

  constructor(local: DeadLetterStore, remote: DeadLetterStore) {
    this.#stores = { local, remote }
  }

  /** A letter from elsewhere is kept by the remote broker. */
  async put(letter: Omit<DeadLetter, 'id'>): Promise<void> {
    await this.#stores.remote.put(letter)
  }

  /** A later page reads those before it again: the two sides have no common place to go on from. */
  async list(filter: DeadLetterFilter = {}, page: Page = {}): Promise<readonly DeadLetter[]> {
    const { limit = 100, after } = page
    const letters: DeadLetter[] = []
    let passed = after === undefined
    for await (const letter of this.#merged(filter)) {
      if (letters.length >= limit) break
      if (passed) letters.push(letter)
      else passed = letter.id === after
    }
    return letters
  }

  async get(id: string): Promise<DeadLetter | undefined> {
    const [side, own] = ownId(id)
    if (side === undefined) return undefined
    const letter = await this.#stores[side].get(own)
    return letter === undefined ? undefined : named(side, letter)
  }

  async count(filter?: DeadLetterFilter): Promise<number> {
    return this.#sum((store) => store.count(filter))
  }

  async summarize(filter?: DeadLetterFilter): Promise<readonly DeadLetterGroup[]> {
    const letters: DeadLetter[] = []
    for await (const letter of this.#merged(filter ?? {})) letters.push(letter)
    return summarizeLetters(letters)
  }

  async redrive(which: DeadLetterSelection, edit?: DeadLetterEdit): Promise<number> {
    return this.#sum((store, side) =>
      store.redrive(selected(which, side), edit === undefined ? undefined : (letter) => edit(named(side, letter))),
    )
  }

  async discard(which: DeadLetterSelection): Promise<number> {
    return this.#sum((store, side) => store.discard(selected(which, side)))
  }

  async #sum(of: (store: DeadLetterStore, side: Side) => Promise<number>): Promise<number> {
    const [local, remote] = await Promise.all([of(this.#stores.local, 'local'), of(this.#stores.remote, 'remote')])
    return local + remote
  }

  /** Both lists, the letter that failed earlier first; each keeps its own order. */
  async *#merged(filter: DeadLetterFilter): AsyncGenerator<DeadLetter> {
    const sides = [this.#read('local', filter), this.#read('remote', filter)]
    const heads = await Promise.all(sides.map((side) => side.next()))
    while (true) {
      let first: number | undefined
      for (const [index, head] of heads.entries()) {
        if (head.done !== true && (first === undefined || isEarlier(head.value, heads[first]?.value))) first = index
      }
      const head = first === undefined ? undefined : heads[first]
      if (first === undefined || head === undefined || head.done === true) return
      yield head.value
      heads[first] = (await sides[first]?.next()) ?? { done: true, value: undefined }
    }
  }

  async *#read(side: Side, filter: DeadLetterFilter): AsyncGenerator<DeadLetter, undefined> {
    let after: string | undefined
    while (true) {
      const page = await this.#stores[side].list(filter, { limit: PAGE, ...(after === undefined ? {} : { after }) })
      for (const letter of page) yield named(side, letter)
      if (page.length < PAGE) return undefined
      after = page.at(-1)?.id
    }
  }
}

function isEarlier(letter: DeadLetter, than: DeadLetter | undefined): boolean {
  return than === undefined || letter.failure.lastFailedAt < than.failure.lastFailedAt
}

function named(side: Side, letter: DeadLetter): DeadLetter {
  return { ...letter, id: `${side}:${letter.id}` }
}

function ownId(id: string): readonly [Side | undefined, string] {
  const mark = id.indexOf(':')
  const side = id.slice(0, mark)
  return side === 'local' || side === 'remote' ? [side, id.slice(mark + 1)] : [undefined, id]
}

/** The part of a selection that one side has. */
function selected(which: DeadLetterSelection, side: Side): DeadLetterSelection {
  if (!Array.isArray(which)) return which
  return (which as readonly string[]).flatMap((id) => {
    const [its, own] = ownId(id)
    return its === side ? [own] : []
  })
}
