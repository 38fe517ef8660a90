/** Most keys kept in memory. */
const MOST = 10_000

/** Keys for a while, so that a message costs no question to the key store. The oldest go first. */
export class KeyCache {
  readonly #milliseconds: number
  readonly #keys = new Map<string, { readonly key: Uint8Array; readonly until: number }>()

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds
  }

  get(person: string): Uint8Array | undefined {
    const kept = this.#keys.get(person)
    if (kept === undefined) return undefined
    if (kept.until > performance.now()) return kept.key
    this.#keys.delete(person)
    return undefined
  }

  put(person: string, key: Uint8Array): void {
    if (this.#milliseconds <= 0) return
    this.#keys.delete(person)
    this.#keys.set(person, { key, until: performance.now() + this.#milliseconds })
    if (this.#keys.size <= MOST) return
    const [oldest] = this.#keys.keys()
    if (oldest !== undefined) this.#keys.delete(oldest)
  }

  delete(person: string): void {
    this.#keys.delete(person)
  }
}
