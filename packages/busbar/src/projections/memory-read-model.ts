import type { Projection } from './projection.ts'
import type { Build } from './build.ts'
import type { Builds, PartitionClaim, PartitionProgress, Poison, ReadModel, Step } from './read-model.ts'

/** Values by key. What is got is a copy; what is set is kept as a copy. */
export interface MemoryCollection<T = unknown> {
  get(key: string): T | undefined
  set(key: string, value: T): void
  delete(key: string): boolean
  entries(): readonly (readonly [string, T])[]
}

/** What a projection's handlers change a model with, where it is in memory. */
export interface MemoryModel {
  readonly collection: <T>(name: string) => MemoryCollection<T>
}

type Values = Map<string, Map<string, unknown>>

interface Partition {
  position: string
  applied: number
  caughtUp: boolean
  updatedAt: number
  owner: string | undefined
  token: number
  expires: number
  poison: Poison | undefined
}

interface MemoryBuild {
  readonly build: Build
  readonly values: Values
  readonly partitions: Partition[]
  readonly skipped: Poison[]
}

interface Kept {
  last: number
  paused: boolean
  live: MemoryBuild | undefined
  next: MemoryBuild | undefined
  readonly members: Map<string, number>
}

/** A read model for as long as the process lives: for tests, and for what is built anew at each start. */
export class MemoryReadModel implements ReadModel<MemoryModel> {
  readonly name = 'memory'
  readonly #kept = new Map<string, Kept>()

  async start(): Promise<void> {}

  /** A collection as readers see it: of the live build. */
  read<T>(projection: string, collection: string): MemoryCollection<T> {
    return staged<T>(
      this.#of(projection).live?.values ?? new Map<string, Map<string, unknown>>(),
      new Map(),
      collection,
    )
  }

  async builds(name: string): Promise<Builds> {
    const { live, next, paused } = this.#of(name)
    return { live: live?.build, next: next?.build, paused }
  }

  async begin(projection: Projection<MemoryModel>, anew: boolean): Promise<Build> {
    const { name, version, fingerprint, partitions } = projection
    const kept = this.#of(name)
    const same = ({ build }: MemoryBuild): boolean => build.version === version && build.fingerprint === fingerprint
    if (kept.live !== undefined && !anew && same(kept.live)) return kept.live.build
    if (kept.next !== undefined && same(kept.next)) return kept.next.build
    const build = { name, number: ++kept.last, version, fingerprint, partitions }
    const made = { build, values: new Map(), skipped: [], partitions: Array.from({ length: partitions }, fresh) }
    kept.next = made
    return build
  }

  async switch({ name, number }: Build): Promise<boolean> {
    const kept = this.#of(name)
    if (kept.next?.build.number !== number) return false
    kept.live = kept.next
    kept.next = undefined
    return true
  }

  async claim(
    build: Build,
    partition: number,
    owner: string,
    milliseconds: number,
  ): Promise<PartitionClaim | undefined> {
    const one = this.#partition(build, partition)
    if (one === undefined || this.#of(build.name).paused || one.poison !== undefined) return undefined
    if (one.owner !== owner) {
      if (one.owner !== undefined && one.expires > Date.now()) return undefined
      one.owner = owner
      one.token++
    }
    one.expires = Date.now() + milliseconds
    return { build, partition, owner, token: one.token, position: one.position }
  }

  async step(claim: PartitionClaim, work: (model: MemoryModel) => Promise<Step>): Promise<PartitionClaim | undefined> {
    const one = this.#held(claim)
    const build = this.#build(claim.build)
    if (one === undefined || build === undefined || this.#of(claim.build.name).paused) return undefined
    const changes: Values = new Map()
    const step = await work({ collection: <T>(name: string) => staged<T>(build.values, changes, name) })
    // Others may have taken it while the handler was waiting for something.
    if (this.#held(claim) === undefined) return undefined
    commit(build.values, changes)
    one.position = step.position
    one.applied += step.applied
    one.caughtUp = step.caughtUp
    one.updatedAt = Date.now()
    if (step.skipped !== undefined) build.skipped.push(step.skipped)
    return { ...claim, position: step.position }
  }

  async stopAt(claim: PartitionClaim, poison: Poison): Promise<void> {
    const one = this.#held(claim)
    if (one === undefined) return
    one.poison = poison
    one.owner = undefined
  }

  async release(claim: PartitionClaim): Promise<void> {
    const one = this.#held(claim)
    if (one !== undefined) one.owner = undefined
  }

  async join(name: string, owner: string, milliseconds: number): Promise<number> {
    const { members } = this.#of(name)
    const now = Date.now()
    members.set(owner, now + milliseconds)
    for (const [other, until] of members) if (until <= now) members.delete(other)
    return members.size
  }

  async leave(name: string, owner: string): Promise<void> {
    this.#of(name).members.delete(owner)
  }

  async progress(name: string): Promise<readonly PartitionProgress[]> {
    const { live, next } = this.#of(name)
    return [live, next].flatMap((each) =>
      (each?.partitions ?? []).map(({ token: _token, expires, owner, ...one }, partition) => ({
        ...one,
        partition,
        build: each?.build.number ?? 0,
        owner: expires > Date.now() ? owner : undefined,
      })),
    )
  }

  async setPaused(name: string, paused: boolean): Promise<void> {
    const kept = this.#of(name)
    kept.paused = paused
    if (paused) return
    for (const each of [kept.live, kept.next]) for (const one of each?.partitions ?? []) one.poison = undefined
  }

  async skipped(name: string): Promise<readonly Poison[]> {
    return [...(this.#of(name).live?.skipped ?? [])]
  }

  async stop(): Promise<void> {}

  #of(name: string): Kept {
    const kept = this.#kept.get(name) ?? {
      last: 0,
      paused: false,
      live: undefined,
      next: undefined,
      members: new Map(),
    }
    this.#kept.set(name, kept)
    return kept
  }

  #build({ name, number }: Build): MemoryBuild | undefined {
    const { live, next } = this.#of(name)
    return [live, next].find((each) => each?.build.number === number)
  }

  #partition(build: Build, partition: number): Partition | undefined {
    return this.#build(build)?.partitions[partition]
  }

  #held({ build, partition, owner, token }: PartitionClaim): Partition | undefined {
    const one = this.#partition(build, partition)
    return one?.owner === owner && one.token === token ? one : undefined
  }
}

function fresh(): Partition {
  return {
    position: '',
    applied: 0,
    caughtUp: false,
    updatedAt: Date.now(),
    owner: undefined,
    token: 0,
    expires: 0,
    poison: undefined,
  }
}

/** In `changes` what is not committed yet; undefined there means deleted. */
function staged<T>(values: Values, changes: Values, name: string): MemoryCollection<T> {
  const kept = values.get(name) ?? new Map<string, unknown>()
  const own = changes.get(name) ?? new Map<string, unknown>()
  changes.set(name, own)
  const get = (key: string): unknown => (own.has(key) ? own.get(key) : kept.get(key))
  return {
    get: (key) => structuredClone(get(key)) as T | undefined,
    set: (key, value) => void own.set(key, structuredClone(value)),
    delete(key) {
      const had = get(key) !== undefined
      own.set(key, undefined)
      return had
    },
    entries: () =>
      [...new Set([...kept.keys(), ...own.keys()])].flatMap((key) => {
        const value = get(key)
        return value === undefined ? [] : [[key, structuredClone(value) as T] as const]
      }),
  }
}

function commit(values: Values, changes: Values): void {
  for (const [name, own] of changes) {
    const kept = values.get(name) ?? new Map<string, unknown>()
    values.set(name, kept)
    for (const [key, value] of own) {
      if (value === undefined) kept.delete(key)
      else kept.set(key, value)
    }
  }
}
