import { BEGINNING, type Checkpoint, type Checkpoints, type Claim, type Position } from '../store/index.ts'

interface Kept {
  position: Position
  updatedAt: number
  owner: string | undefined
  token: number
  expires: number
}

/** Places of readers, for as long as the process lives. */
export class MemoryCheckpoints implements Checkpoints {
  readonly #now: () => number
  readonly #kept = new Map<string, Kept>()

  constructor(now: () => number) {
    this.#now = now
  }

  async claim(name: string, owner: string, milliseconds: number): Promise<Claim | undefined> {
    const now = this.#now()
    const kept = this.#kept.get(name) ?? {
      position: BEGINNING,
      updatedAt: now,
      owner: undefined,
      token: 0,
      expires: -Infinity,
    }
    if (kept.owner !== owner) {
      if (kept.owner !== undefined && kept.expires > now) return undefined
      kept.owner = owner
      kept.token++
    }
    kept.expires = now + milliseconds
    this.#kept.set(name, kept)
    return { name, owner, token: kept.token, position: kept.position }
  }

  async advance(claim: Claim, position: Position): Promise<boolean> {
    const kept = this.#of(claim)
    if (kept === undefined) return false
    kept.position = position
    kept.updatedAt = this.#now()
    return true
  }

  async release(claim: Claim): Promise<void> {
    const kept = this.#of(claim)
    if (kept !== undefined) kept.owner = undefined
  }

  async get(name: string): Promise<Checkpoint | undefined> {
    const kept = this.#kept.get(name)
    if (kept === undefined) return undefined
    const { position, updatedAt, owner, expires } = kept
    const held = owner !== undefined && expires > this.#now()
    return { name, position, updatedAt, ...(held ? { owner } : {}) }
  }

  async delete(name: string): Promise<boolean> {
    const kept = this.#kept.get(name)
    if (kept?.owner !== undefined && kept.expires > this.#now()) return false
    this.#kept.delete(name)
    return true
  }

  #of({ name, owner, token }: Claim): Kept | undefined {
    const kept = this.#kept.get(name)
    return kept?.owner === owner && kept.token === token ? kept : undefined
  }
}
