import type { EventStore } from '../eventstore/index.ts'
import { ConfigurationError, uuidv7 } from '../message/index.ts'
import type { Position } from '../store/index.ts'
import { leastOf, nextBehind } from './batch.ts'
import { ProjectionBehindError, UnknownProjectionError } from './errors.ts'
import { complete, type ProjectionsOptions } from './options.ts'
import { contractsOf, type Projection } from './projection.ts'
import { ProjectionHost } from './projection-host.ts'
import type { Poison, ReadModel } from './read-model.ts'
import { type ProjectionStatus, statusOf } from './status.ts'

/**
 * Runs projections: reads the event store behind each one's checkpoint and keeps the read models up to date. Each event changes a model
 * exactly once, in the order of the store (of its partition). Processes that run the same projections share their partitions.
 *
 * @example
 * const projections = new Projections(store, new SqlReadModel(pgDatabase(pool)), [Totals])
 * await projections.start()
 * await projections.rebuild('totals')
 */
export class Projections<Model> {
  readonly #store: EventStore
  readonly #model: ReadModel<Model>
  readonly #hosts = new Map<string, ProjectionHost<Model>>()
  readonly #waiting = new Set<() => void>()
  #unlisten: (() => Promise<void>) | undefined
  #stopped = false

  /** @throws ConfigurationError for options that make no sense, and where two projections have one name. */
  constructor(
    store: EventStore,
    model: ReadModel<Model>,
    projections: readonly Projection<Model>[],
    options: ProjectionsOptions = {},
  ) {
    this.#store = store
    this.#model = model
    const shared = {
      store,
      model,
      owner: uuidv7(),
      options: complete(options),
      wait: (milliseconds: number) => this.#wait(milliseconds),
    }
    for (const projection of projections) {
      if (this.#hosts.has(projection.name)) {
        throw new ConfigurationError(`two projections have the name '${projection.name}': give each its own`)
      }
      for (const contract of contractsOf(projection)) store.learn(contract)
      this.#hosts.set(projection.name, new ProjectionHost(shared, projection))
    }
  }

  /**
   * Starts the read model and all projections. One whose version is new is built beside its old model, and shown when it has caught up.
   *
   * @throws ProjectionChangedError where one is declared otherwise under the same version, or is older than its model.
   */
  async start(): Promise<void> {
    await this.#model.start()
    this.#unlisten = await this.#store.storage.listen(() => this.#wake())
    for (const host of this.#hosts.values()) await host.start()
  }

  /** Ends after the steps that are under way; others take over at once. The store and the read model's database are not stopped. */
  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    const stopping = [...this.#hosts.values()].map((host) => host.stop())
    this.#wake()
    await Promise.all(stopping)
    await this.#unlisten?.()
    await this.#model.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** @throws UnknownProjectionError */
  status(name: string): Promise<ProjectionStatus> {
    return statusOf(this.#store, this.#model, this.#host(name).projection)
  }

  statuses(): Promise<readonly ProjectionStatus[]> {
    return Promise.all([...this.#hosts.keys()].map((name) => this.status(name)))
  }

  /** Holds it up in all processes, after the steps that are under way. Kept until `resume`, over restarts too. */
  async pause(name: string): Promise<void> {
    await this.#model.setPaused(this.#host(name).projection.name, true)
  }

  /** Lets it go on, also where it stopped at an event: that one is tried again. */
  async resume(name: string): Promise<void> {
    await this.#model.setPaused(this.#host(name).projection.name, false)
    this.#wake()
  }

  /** Events that were passed over (`onPoison: 'skip'`), oldest first. A rebuild tries them again. */
  skipped(name: string): Promise<readonly Poison[]> {
    return this.#model.skipped(this.#host(name).projection.name)
  }

  /**
   * Builds the model anew from the first event, beside the live one; when it has caught up it is shown to readers in its place. Resolves
   * then. If this process dies, another one that runs the projection goes on where it was.
   *
   * @param options.onProgress Told now and then.
   */
  async rebuild(
    name: string,
    { onProgress }: { readonly onProgress?: (status: ProjectionStatus) => void } = {},
  ): Promise<void> {
    const { number } = await this.#host(name).rebuild()
    for (;;) {
      const { live, next } = await this.#model.builds(name)
      if ((live?.number ?? 0) >= number || next?.number !== number || this.#stopped) return
      if (onProgress !== undefined) onProgress(await this.status(name))
      await this.#wait(50)
    }
  }

  /**
   * Resolves when everything up to a position is in the live model, so that what was just appended can be read.
   *
   * @throws ProjectionBehindError
   *
   * @param options.position Default: the end of the store now.
   * @param options.timeout Milliseconds. Default 10 000.
   */
  async caughtUp(
    name: string,
    options: { readonly position?: Position; readonly timeout?: number } = {},
  ): Promise<void> {
    const { projection } = this.#host(name)
    const { position = (await this.#store.head()).position, timeout = 10_000 } = options
    const deadline = performance.now() + timeout
    for (;;) {
      const { live } = await this.#model.builds(name)
      const progress = await this.#model.progress(name)
      const own = progress.filter(({ build }) => build === live?.number)
      if (own.length > 0) {
        const next = await nextBehind(this.#store, projection, leastOf(own))
        if (next === undefined || next > position) return
      }
      if (performance.now() > deadline) {
        const poison = progress.find((one) => one.poison !== undefined)?.poison
        const why =
          poison === undefined
            ? ''
            : `; it stopped at revision ${poison.revision} of '${poison.stream}': ${poison.error}`
        throw new ProjectionBehindError(name, timeout, why)
      }
      await this.#wait(20)
    }
  }

  #host(name: string): ProjectionHost<Model> {
    const host = this.#hosts.get(name)
    if (host === undefined) throw new UnknownProjectionError(name, [...this.#hosts.keys()])
    return host
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  #wait(milliseconds: number): Promise<void> {
    if (this.#stopped) return new Promise((resolve) => setImmediate(resolve))
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        resolve()
      }
      const timer = setTimeout(done, milliseconds)
      this.#waiting.add(done)
    })
  }
}
