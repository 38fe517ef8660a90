import type { EventStore } from '../eventstore/index.ts'
import { leastOf, nextBehind } from './batch.ts'
import { ProjectionChangedError } from './errors.ts'
import type { ProjectionsOptions } from './options.ts'
import { PartitionRunner, type RunnerHost } from './partition-runner.ts'
import type { Projection } from './projection.ts'
import type { Build } from './build.ts'
import type { ReadModel } from './read-model.ts'

/** What a host shares with those of other projections. */
export interface Shared<Model> {
  readonly store: EventStore
  readonly model: ReadModel<Model>
  readonly owner: string
  readonly options: Required<ProjectionsOptions>
  wait(milliseconds: number): Promise<void>
}

/**
 * Runs one projection in this process: the partitions of its live build that this process has its share of, and those of the one that is
 * being built beside it, until that is shown in its place.
 */
export class ProjectionHost<Model> implements RunnerHost<Model> {
  readonly projection: Projection<Model>
  readonly store: EventStore
  readonly model: ReadModel<Model>
  readonly owner: string
  readonly options: Required<ProjectionsOptions>
  readonly #wait: (milliseconds: number) => Promise<void>
  readonly #isInline: boolean
  #runners: PartitionRunner<Model>[] = []
  #share = Infinity
  #joined = -Infinity
  #looking: Promise<void> | undefined
  #stopped = false

  /** @param isInline Its live build is kept by appends: only what is built beside it is run here. */
  constructor(shared: Shared<Model>, projection: Projection<Model>, isInline = false) {
    this.projection = projection
    this.store = shared.store
    this.model = shared.model
    this.owner = shared.owner
    this.options = shared.options
    this.#wait = (milliseconds) => shared.wait(milliseconds)
    this.#isInline = isInline
  }

  /** @throws ProjectionChangedError */
  async start(): Promise<void> {
    const { name, version, fingerprint } = this.projection
    const { live } = await this.model.builds(name)
    if (live !== undefined && live.version > version) throw new ProjectionChangedError(name, live.version, version)
    if (live?.version === version && live.fingerprint !== fingerprint) {
      throw new ProjectionChangedError(name, version, version)
    }
    await this.model.begin(this.projection, false)
    await this.#look()
  }

  /** Begins a build beside the live one. */
  async rebuild(): Promise<Build> {
    const build = await this.model.begin(this.projection, true)
    await this.#look()
    return build
  }

  mayHold(runner: PartitionRunner<Model>): boolean {
    const holding = this.#runners.filter((one) => one.build.number === runner.build.number && one.isHolding).length
    return runner.isHolding ? holding <= this.#share : holding < this.#share
  }

  idle(): void {
    if (this.#stopped || this.#looking !== undefined) return
    this.#looking = this.#look()
      .catch((error: unknown) => {
        const { name } = this.projection
        this.options.logger.warn({ projection: name, err: String(error) }, `projection '${name}': trying again`)
      })
      .finally(() => (this.#looking = undefined))
  }

  wait(milliseconds: number): Promise<void> {
    return this.#wait(milliseconds)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#looking
    await Promise.all(this.#runners.map((runner) => runner.stop()))
    await this.model.leave(this.projection.name, this.owner)
  }

  /** Looks what there is to run, and shows what has been built. */
  async #look(): Promise<void> {
    const { name, version } = this.projection
    await this.#join()
    const { live, next } = await this.model.builds(name)
    if (next !== undefined && (await this.isBuilt(next)) && (await this.#show(next))) return this.#run([next])
    const own = [this.#isInline ? undefined : live, next].filter((build) => build?.version === version)
    await this.#run(own as Build[])
  }

  /** An inline one is shown by whoever can hold up the appends. */
  async #show(next: Build): Promise<boolean> {
    return !this.#isInline && (await this.model.switch(next))
  }

  /** Whether a build has met the end of the store. */
  async isBuilt(build: Build): Promise<boolean> {
    const progress = await this.model.progress(this.projection.name)
    const own = progress.filter((one) => one.build === build.number)
    return own.length === build.partitions && own.every(({ caughtUp }) => caughtUp)
  }

  /** Whether nothing waits for it now. */
  async hasAll(build: Build): Promise<boolean> {
    const progress = (await this.model.progress(this.projection.name)).filter((one) => one.build === build.number)
    return (await nextBehind(this.store, this.projection, leastOf(progress))) === undefined
  }

  /** Says that this process works on it, and learns how many partitions are its share. */
  async #join(): Promise<void> {
    const { lease } = this.options
    if (performance.now() < this.#joined + lease / 3) return
    this.#joined = performance.now()
    const members = await this.model.join(this.projection.name, this.owner, lease)
    this.#share = Math.ceil(this.projection.partitions / members)
  }

  async #run(builds: readonly Build[]): Promise<void> {
    const wanted = new Set(builds.map(({ number }) => number))
    const gone = this.#runners.filter(({ build }) => !wanted.has(build.number))
    this.#runners = this.#runners.filter(({ build }) => wanted.has(build.number))
    for (const runner of gone) void runner.stop()
    if (this.#stopped) return
    for (const build of builds) {
      if (this.#runners.some((one) => one.build.number === build.number)) continue
      for (let partition = 0; partition < build.partitions; partition++) {
        this.#runners.push(new PartitionRunner(this, build, partition))
      }
    }
  }
}
