import { BEGINNING, type EventStorage, type Position, type StoredEvent } from '../../store/index.ts'

/**
 * Catches up, then goes on live, as anything does that follows a store: it listens, and reads after the last position whenever
 * it is woken. It has no clock, so a wake that does not come leaves it behind.
 */
export class Follower {
  readonly seen: StoredEvent[] = []
  /** Why it ended, where it did. */
  failure: Error | undefined
  readonly #storage: EventStorage
  readonly #tell: (event: StoredEvent) => void
  readonly #page: number
  #after: Position = BEGINNING
  #woken = false
  #reading = false
  #end: (() => Promise<void>) | undefined

  constructor(storage: EventStorage, tell: (event: StoredEvent) => void = () => undefined, page = 50) {
    this.#storage = storage
    this.#tell = tell
    this.#page = page
  }

  async start(): Promise<this> {
    this.#end = await this.#storage.listen(() => this.#wake())
    this.#wake()
    return this
  }

  async stop(): Promise<void> {
    await this.#end?.()
  }

  get ids(): string[] {
    return this.seen.map(({ message }) => message.id)
  }

  #wake(): void {
    this.#woken = true
    if (this.#reading) return
    this.#reading = true
    void this.#read().catch((error: unknown) => {
      this.failure = error as Error
    })
  }

  async #read(): Promise<void> {
    try {
      while (this.#woken) {
        this.#woken = false
        await this.#catchUp()
      }
    } finally {
      // In the same turn as the last look at `woken`: no wake falls between the two.
      this.#reading = false
    }
  }

  async #catchUp(): Promise<void> {
    for (let count = this.#page; count === this.#page;) {
      count = 0
      for await (const event of this.#storage.readAll({ after: this.#after, limit: this.#page })) {
        count++
        this.#after = event.position
        this.seen.push(event)
        this.#tell(event)
      }
    }
  }
}
